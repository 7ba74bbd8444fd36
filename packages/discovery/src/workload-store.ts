// The workloads of the mesh by uid, by address and by hostname, and the endpoints that follow from them.
import type { IpAddress, NamespacedHostname, NetworkId, Workload, WorkloadUid } from "@ambit/core";
import type { Endpoint } from "@ambit/decide";
import { byText, MultiIndex } from "./multi-index.ts";

/** A workload and when it was first heard of. */
interface Held {
  readonly workload: Workload;
  readonly order: number;
}

export class WorkloadStore {
  readonly #byUid = new Map<WorkloadUid, Held>();
  readonly #byAddress = new MultiIndex<string, WorkloadUid, Held>(compareHolders);
  readonly #byHostname = new MultiIndex<string, WorkloadUid, Workload>(byText((workload) => workload.uid));
  readonly #endpoints = new MultiIndex<NamespacedHostname, WorkloadUid, Endpoint>(byText(({ workload }) => workload.uid));
  #nextOrder = 0;

  get(uid: WorkloadUid): Workload | undefined {
    return this.#byUid.get(uid)?.workload;
  }

  get size(): number {
    return this.#byUid.size;
  }

  *all(): Generator<Workload> {
    for (const { workload } of this.#byUid.values()) yield workload;
  }

  byAddress(network: NetworkId, ip: IpAddress): Workload | undefined {
    return this.#byAddress.get(addressKey(network, ip))[0]?.workload;
  }

  byHostname(namespace: string, hostname: string): Workload | undefined {
    return this.#byHostname.get(`${namespace}/${hostname}`)[0];
  }

  /** Also of services that are not known yet. */
  endpoints(service: NamespacedHostname): readonly Endpoint[] {
    return this.#endpoints.get(service);
  }

  /** Every service that some workload claims to serve. */
  claimedServices(): Iterable<NamespacedHostname> {
    return this.#endpoints.keys();
  }

  set(workload: Workload): void {
    const before = this.#byUid.get(workload.uid);
    if (before !== undefined) this.#unindex(before.workload);
    const held: Held = { workload, order: before?.order ?? this.#nextOrder++ };
    this.#byUid.set(workload.uid, held);
    for (const ip of indexedAddresses(workload)) this.#byAddress.set(addressKey(workload.network, ip), workload.uid, held);
    if (workload.hostname !== "") this.#byHostname.set(hostnameKey(workload), workload.uid, workload);
    for (const [service, ports] of workload.services) this.#endpoints.set(service, workload.uid, { workload, ports });
  }

  /** True when there was such a workload. */
  delete(uid: WorkloadUid): boolean {
    const held = this.#byUid.get(uid);
    if (held === undefined) return false;
    this.#unindex(held.workload);
    return this.#byUid.delete(uid);
  }

  #unindex(workload: Workload): void {
    for (const ip of indexedAddresses(workload)) this.#byAddress.delete(addressKey(workload.network, ip), workload.uid);
    if (workload.hostname !== "") this.#byHostname.delete(hostnameKey(workload), workload.uid);
    for (const service of workload.services.keys()) this.#endpoints.delete(service, workload.uid);
  }
}

function addressKey(network: NetworkId, ip: IpAddress): string {
  return `${network}/${ip}`;
}

function hostnameKey(workload: Workload): string {
  return `${workload.namespace}/${workload.hostname}`;
}

/** Host-network workloads share their node's address, so that it identifies none of them. */
function indexedAddresses(workload: Workload): readonly IpAddress[] {
  return workload.networkMode === "hostNetwork" ? [] : workload.addresses;
}

/**
 * Pods first, then HBONE, then healthy, then the newest: where an address is reused, the old holder is on its way out.
 * @source ztunnel src/state/workload.rs WorkloadByAddr::get
 */
function compareHolders(a: Held, b: Held): number {
  return holderRank(b.workload) - holderRank(a.workload) || b.order - a.order;
}

function holderRank({ uid, tunnelProtocol, status }: Workload): number {
  return (uid.includes("//Pod/") ? 4 : 0) + (tunnelProtocol === "hbone" ? 2 : 0) + (status === "healthy" ? 1 : 0);
}
