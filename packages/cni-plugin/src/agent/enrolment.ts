// Taking one pod into the mesh and out of it again: the ordered steps.
import type { IpAddress, Logger } from "@ambit/core";
import type { Netns } from "@ambit/linux";
import type { HostProbes } from "./host-probes.ts";
import type { Pod } from "./pod.ts";
import { describePod } from "./pod.ts";
import type { EnrolledPod, LocatedPod, PodSnapshot } from "./pod-snapshot.ts";
import { type RedirectionSettings, redirectionSettings } from "./redirection.ts";
import type { OnDrift, Redirector } from "./redirector.ts";
import type { ZdsServer } from "./zds-server.ts";

export interface EnrolmentDeps {
  readonly snapshot: PodSnapshot;
  readonly redirector: Pick<Redirector, "ensure" | "remove">;
  readonly hostProbes: Pick<HostProbes, "allow" | "forbid">;
  readonly nodeProxies: Pick<ZdsServer, "add" | "remove">;
  readonly logger: Logger;
}

export interface EnrolmentOptions {
  readonly captureDns: boolean;
}

export interface Arrival {
  readonly pod: Pod;
  /** Given away: enrolment closes it when the pod does not get into the snapshot. */
  readonly netns: Netns;
  readonly ips: readonly IpAddress[];
  readonly containerId: string;
}

/** Callers run these one at a time per pod (PodQueue). */
export class Enrolment {
  readonly #deps: EnrolmentDeps;
  readonly #options: EnrolmentOptions;

  constructor(deps: EnrolmentDeps, options: EnrolmentOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /**
   * A pod whose containers have not started. Rules come first: whatever fails later, no byte of it leaves unredirected.
   * On failure nothing is kept; the runtime throws the sandbox away and comes again with another one.
   * @throws CNI_ANNOTATION_INVALID, CNI_REDIRECTION_FAILED, CNI_ZTUNNEL_*
   */
  async addStartingPod(arrival: Arrival): Promise<void> {
    const entry = this.#entryFor(arrival);
    try {
      await this.#deps.redirector.ensure(arrival.netns, entry.settings, "overwrite");
    } catch (error) {
      arrival.netns.close();
      throw error;
    }
    this.#deps.snapshot.put(entry);
    try {
      await this.#deps.nodeProxies.add(entry);
      await this.#deps.hostProbes.allow(entry.uid, entry.ips);
    } catch (error) {
      this.#forget(entry);
      throw error;
    }
    this.#complete(entry);
  }

  /**
   * A pod that is already serving. The proxy listens before the first rule leads to it, so that enrolling refuses no connection;
   * until the rules stand the pod is what it was before, outside the mesh. On failure it stays in the snapshot, incomplete, for the next try.
   * @throws CNI_ANNOTATION_INVALID, CNI_REDIRECTION_FAILED, CNI_ZTUNNEL_*
   */
  async addRunningPod(arrival: Arrival): Promise<void> {
    const entry = this.#entryFor(arrival);
    this.#deps.snapshot.put(entry);
    await this.#deps.nodeProxies.add(entry);
    await this.#deps.hostProbes.allow(entry.uid, entry.ips);
    await this.#deps.redirector.ensure(arrival.netns, entry.settings, "repair");
    this.#complete(entry);
  }

  /**
   * A pod that was in the mesh before this agent started: its rules are put right first, the proxies hear of it in their snapshot.
   * @throws CNI_ANNOTATION_INVALID, CNI_REDIRECTION_FAILED; the pod stays in the snapshot, incomplete
   */
  async recoverPod(arrival: Arrival, onDrift: OnDrift): Promise<void> {
    const entry = this.#entryFor(arrival);
    this.#deps.snapshot.put(entry);
    await this.#deps.redirector.ensure(arrival.netns, entry.settings, onDrift);
    this.#complete(entry);
  }

  /** A pod of before whose namespace is not found yet: the proxies are told to keep what they have for it. */
  keepUnfoundPod(pod: Pod): void {
    this.#deps.snapshot.put({ ...this.#entryBase(pod), ips: pod.ips, netns: undefined, containerId: "", complete: false });
  }

  /** Tries again what a former attempt left undone. @throws as addRunningPod */
  async finishPod(entry: LocatedPod): Promise<void> {
    await this.#deps.nodeProxies.add(entry);
    await this.#deps.hostProbes.allow(entry.uid, entry.ips);
    await this.#deps.redirector.ensure(entry.netns, entry.settings, "repair");
    this.#complete(entry);
  }

  /** The pod got other addresses than it was enrolled with. */
  async changeAddresses(entry: EnrolledPod, ips: readonly IpAddress[]): Promise<void> {
    this.#deps.snapshot.put({ ...entry, ips });
    await this.#deps.hostProbes.allow(entry.uid, ips);
    await this.#deps.hostProbes.forbid(
      entry.uid,
      entry.ips.filter((ip) => !ips.includes(ip)),
    );
  }

  /**
   * Order: addresses, rules while the pod still runs, proxies, namespace. The rules go before the proxy stops listening.
   * @throws CNI_REDIRECTION_FAILED; everything is still known then and the call can be repeated
   */
  async removePod(entry: EnrolledPod, stillRuns: boolean): Promise<void> {
    await this.#deps.hostProbes.forbid(entry.uid, entry.ips);
    if (stillRuns && entry.netns !== undefined) await this.#deps.redirector.remove(entry.netns);
    this.#forget(entry);
    this.#deps.logger.info("Pod left the mesh", { pod: describePod(entry), stillRuns });
  }

  /** A running pod that carries rules of a former agent and no longer belongs into the mesh. Closes `netns`. @throws CNI_REDIRECTION_FAILED */
  async cleanPod(netns: Netns): Promise<void> {
    try {
      await this.#deps.redirector.remove(netns);
    } finally {
      netns.close();
    }
  }

  /** The proxies first: a descriptor that waits to be sent must not be closed. */
  #forget(entry: EnrolledPod): void {
    this.#deps.nodeProxies.remove(entry.uid);
    this.#deps.snapshot.drop(entry.uid);
  }

  #complete(entry: EnrolledPod): void {
    this.#deps.snapshot.put({ ...entry, complete: true });
    this.#deps.logger.info("Pod is in the mesh", { pod: describePod(entry), ips: entry.ips });
  }

  #entryFor({ pod, netns, ips, containerId }: Arrival): LocatedPod {
    try {
      return { ...this.#entryBase(pod), ips, netns, containerId, complete: false };
    } catch (error) {
      netns.close();
      throw error;
    }
  }

  #entryBase(pod: Pod): Pick<EnrolledPod, "uid" | "name" | "namespace" | "serviceAccount"> & { settings: RedirectionSettings } {
    const settings = redirectionSettings(pod.annotations, this.#options.captureDns);
    return { uid: pod.uid, name: pod.name, namespace: pod.namespace, serviceAccount: pod.serviceAccount, settings };
  }
}
