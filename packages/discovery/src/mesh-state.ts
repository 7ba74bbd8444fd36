// The mesh as this process knows it: one snapshot, changed by `apply` alone.
import { isDeepStrictEqual } from "node:util";
import type {
  Authorization,
  IpAddress,
  NamespacedHostname,
  NetworkId,
  PolicyKey,
  Service,
  Workload,
  WorkloadUid,
} from "@ambit/core";
import type { Endpoint, MeshView } from "@ambit/decide";
import type { AddressResource, MeshChange, MeshUpdate } from "./mesh-update.ts";
import { keyOfPolicy, PolicyStore } from "./policy-store.ts";
import { keyOfService, ServiceStore } from "./service-store.ts";
import { WorkloadStore } from "./workload-store.ts";

interface Changed {
  readonly workloads: Set<WorkloadUid>;
  readonly services: Set<NamespacedHostname>;
  readonly policies: Set<PolicyKey>;
}

/**
 * Endpoints follow from the workloads present: those of a service that arrives late are there with it,
 * and a service that goes and comes back has them again.
 */
export class MeshState implements MeshView {
  readonly #workloads = new WorkloadStore();
  readonly #services = new ServiceStore();
  readonly #policies = new PolicyStore();

  /** All of the update, upserts first: a name in both is gone afterwards. */
  apply(update: MeshUpdate): MeshChange {
    const changed: Changed = { workloads: new Set(), services: new Set(), policies: new Set() };
    for (const { resource } of update.addresses?.upserts ?? []) this.#setAddress(resource, changed);
    for (const { resource } of update.authorizations?.upserts ?? []) this.#setPolicy(resource, changed);
    for (const name of update.addresses?.removals ?? []) this.#removeAddress(name, changed);
    for (const name of update.authorizations?.removals ?? []) {
      const key = name as PolicyKey;
      if (this.#policies.delete(key)) changed.policies.add(key);
    }
    return changed;
  }

  #setAddress(resource: AddressResource, changed: Changed): void {
    if (resource.kind === "workload") {
      const { workload } = resource;
      if (isDeepStrictEqual(this.#workloads.get(workload.uid), workload)) return;
      this.#workloads.set(workload);
      changed.workloads.add(workload.uid);
      return;
    }
    const { service } = resource;
    const key = keyOfService(service);
    if (isDeepStrictEqual(this.#services.get(key), service)) return;
    this.#services.set(service);
    changed.services.add(key);
  }

  #setPolicy(policy: Authorization, changed: Changed): void {
    const key = keyOfPolicy(policy);
    if (isDeepStrictEqual(this.#policies.get(key), policy)) return;
    this.#policies.set(policy);
    changed.policies.add(key);
  }

  /** A removed name does not say what it was: workload uids are tried first. @source ztunnel src/state.rs ProxyStateUpdater::remove */
  #removeAddress(name: string, changed: Changed): void {
    const uid = name as WorkloadUid;
    if (this.#workloads.delete(uid)) {
      changed.workloads.add(uid);
      return;
    }
    if (name.split("/").length !== 2) return;
    const key = name as NamespacedHostname;
    if (this.#services.delete(key)) changed.services.add(key);
  }

  workloadByUid(uid: WorkloadUid): Workload | undefined {
    return this.#workloads.get(uid);
  }

  workloadByAddress(network: NetworkId, ip: IpAddress): Workload | undefined {
    return this.#workloads.byAddress(network, ip);
  }

  service(key: NamespacedHostname): Service | undefined {
    return this.#services.get(key);
  }

  servicesByAddress(network: NetworkId, ip: IpAddress): readonly Service[] {
    return this.#services.byAddress(network, ip);
  }

  servicesByBlock(network: NetworkId, ip: IpAddress): readonly Service[] {
    return this.#services.byBlock(network, ip);
  }

  servicesByHostname(hostname: string): readonly Service[] {
    return this.#services.byHostname(hostname);
  }

  workloadByHostname(namespace: string, hostname: string): Workload | undefined {
    return this.#workloads.byHostname(namespace, hostname);
  }

  /** Empty while the service itself is not known. */
  endpoints(key: NamespacedHostname): readonly Endpoint[] {
    return this.#services.get(key) === undefined ? [] : this.#workloads.endpoints(key);
  }

  policy(key: PolicyKey): Authorization | undefined {
    return this.#policies.get(key);
  }

  policiesOfNamespace(namespace: string): readonly Authorization[] {
    return this.#policies.ofNamespace(namespace);
  }

  globalPolicies(): readonly Authorization[] {
    return this.#policies.ofWholeMesh();
  }

  workloads(): readonly Workload[] {
    return [...this.#workloads.all()];
  }

  services(): readonly Service[] {
    return [...this.#services.all()];
  }

  policies(): readonly Authorization[] {
    return [...this.#policies.all()];
  }

  /** Everything that is held, as one update: applied to an empty state elsewhere it gives the same answers. */
  snapshot(): MeshUpdate {
    const workloads = this.workloads().map((workload) => ({
      name: workload.uid,
      resource: { kind: "workload", workload } as const,
    }));
    const services = this.services().map((service) => ({
      name: keyOfService(service),
      resource: { kind: "service", service } as const,
    }));
    const policies = this.policies().map((resource) => ({ name: keyOfPolicy(resource), resource }));
    return {
      addresses: { upserts: [...workloads, ...services], removals: [] },
      authorizations: { upserts: policies, removals: [] },
    };
  }

  /** Endpoints whose service has not arrived. */
  *stagedEndpoints(): Generator<readonly [service: NamespacedHostname, endpoints: readonly Endpoint[]]> {
    for (const key of this.#workloads.claimedServices()) {
      if (this.#services.get(key) === undefined) yield [key, this.#workloads.endpoints(key)];
    }
  }

  get size(): { readonly workloads: number; readonly services: number; readonly policies: number } {
    return { workloads: this.#workloads.size, services: this.#services.size, policies: this.#policies.size };
  }
}
