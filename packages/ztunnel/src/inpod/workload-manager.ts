// The pods of this node as the node agent names them, and whether every worker serves them.
import { asMeshError, type Clock, type ClockTimer, type Logger, MeshError, type PodUid } from "@ambit/core";
import type { Netns } from "@ambit/linux";
import type { PodMetrics } from "../report/process-metrics.ts";
import type { LocalPod } from "../worker-messages.ts";

export interface PodFacts {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface WorkloadManagerDeps {
  /** To every worker. */
  readonly addToWorkers: (pod: LocalPod) => void;
  readonly removeFromWorkers: (uid: PodUid) => void;
  readonly workerCount: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: PodMetrics;
  /** The set of pods has changed. */
  readonly onChange: () => void;
}

/** Of a failed start. @source ztunnel src/inpod/workloadmanager.rs RETRY_INTERVAL */
const RETRY_MS = 5_000;

/** States: starting → up; starting or up → failed (a worker could not open the ports) → starting, every 5 s. */
interface ManagedPod {
  readonly pod: LocalPod;
  readonly netns: Netns;
  state: "starting" | "up" | "failed";
  error: string | undefined;
  readonly listening: Set<number>;
  waiters: { resolve(): void; reject(error: MeshError): void }[];
  retry: ClockTimer | undefined;
}

export class WorkloadManager {
  readonly #deps: WorkloadManagerDeps;
  readonly #pods = new Map<PodUid, ManagedPod>();
  /** Named since the agent's connection was made; undefined once its snapshot is complete. */
  #named: Set<PodUid> | undefined = new Set();

  constructor(deps: WorkloadManagerDeps) {
    this.#deps = deps;
  }

  get active(): number {
    return this.#count("up");
  }

  get pending(): number {
    return this.#pods.size - this.active;
  }

  pods(): readonly { readonly pod: LocalPod; readonly isUp: boolean }[] {
    return [...this.#pods.values()].map(({ pod, state }) => ({ pod, isUp: state === "up" }));
  }

  pod(uid: PodUid): LocalPod | undefined {
    return this.#pods.get(uid)?.pod;
  }

  /** A connection to the agent begins with a snapshot. */
  connected(): void {
    this.#named = new Set();
  }

  /**
   * Resolves when every worker listens in the pod. The namespace belongs to the manager from here.
   * @throws ZTUNNEL_POD_LISTEN_FAILED; the pod stays and is tried again
   */
  async add(uid: PodUid, facts: PodFacts, netns: Netns): Promise<void> {
    this.#named?.add(uid);
    const existing = this.#pods.get(uid);
    if (existing?.netns.id === netns.id) {
      netns.close();
      if (existing.state === "up") return;
      await this.#start(existing);
      return;
    }
    if (existing !== undefined) this.#remove(existing);
    const pod: LocalPod = { uid, ...facts, netns: netns.token };
    const managed: ManagedPod = {
      pod,
      netns,
      state: "starting",
      error: undefined,
      listening: new Set(),
      waiters: [],
      retry: undefined,
    };
    this.#pods.set(uid, managed);
    this.#deps.onChange();
    await this.#start(managed);
  }

  /** The agent knows the pod and has lost its namespace: what runs goes on. */
  keep(uid: PodUid): void {
    if (this.#named === undefined) throw new MeshError("ZTUNNEL_ZDS_PROTOCOL", "The agent sent Keep after its snapshot");
    this.#named.add(uid);
  }

  delete(uid: PodUid): void {
    this.#named?.delete(uid);
    // Before the snapshot is complete only the name goes: the snapshot's end takes what was not named.
    if (this.#named !== undefined) return;
    const managed = this.#pods.get(uid);
    if (managed !== undefined) this.#remove(managed);
  }

  snapshotSent(): void {
    const named = this.#named;
    if (named === undefined) throw new MeshError("ZTUNNEL_ZDS_PROTOCOL", "The agent sent its snapshot's end twice");
    this.#named = undefined;
    for (const managed of this.#pods.values()) if (!named.has(managed.pod.uid)) this.#remove(managed);
  }

  /** A worker serves the pod in this namespace; what is said of one that the pod no longer has comes too late. */
  listening(worker: number, uid: PodUid, netns: Netns["id"]): void {
    const managed = this.#pods.get(uid);
    if (managed?.netns.id !== netns) return;
    managed.listening.add(worker);
    if (managed.state === "up" || managed.listening.size < this.#deps.workerCount()) return;
    managed.state = "up";
    managed.error = undefined;
    this.#deps.metrics.started();
    this.#deps.logger.info("pod is in the mesh", describe(managed.pod));
    this.#settle(managed, undefined);
    this.#deps.onChange();
  }

  failed(uid: PodUid, netns: Netns["id"], error: string): void {
    const managed = this.#pods.get(uid);
    if (managed?.netns.id !== netns) return;
    managed.state = "failed";
    managed.error = error;
    managed.listening.clear();
    this.#deps.logger.error("pod cannot be served, trying again", { ...describe(managed.pod), error, retryInMs: RETRY_MS });
    this.#settle(managed, new MeshError("ZTUNNEL_POD_LISTEN_FAILED", `Cannot listen in the pod: ${error}`));
    managed.retry ??= this.#deps.clock.after(RETRY_MS, () => {
      managed.retry = undefined;
      void this.#start(managed).catch((cause: unknown) =>
        this.#deps.logger.debug("pod still cannot be served", { error: asMeshError(cause, "ZTUNNEL_POD_LISTEN_FAILED") }),
      );
    });
    this.#deps.onChange();
  }

  /** What a worker that has just started must serve. */
  workerStarted(send: (pod: LocalPod) => void): void {
    for (const { pod } of this.#pods.values()) send(pod);
  }

  /** Its replacement tells anew what it serves. */
  workerDied(worker: number): void {
    for (const managed of this.#pods.values()) {
      managed.listening.delete(worker);
      if (managed.state === "up") managed.state = "starting";
    }
    this.#deps.onChange();
  }

  closeAll(): void {
    for (const managed of this.#pods.values()) this.#remove(managed);
  }

  #start(managed: ManagedPod): Promise<void> {
    managed.retry?.cancel();
    managed.retry = undefined;
    managed.state = "starting";
    managed.listening.clear();
    return new Promise((resolve, reject) => {
      managed.waiters.push({ resolve, reject });
      this.#deps.addToWorkers(managed.pod);
    });
  }

  #remove(managed: ManagedPod): void {
    this.#pods.delete(managed.pod.uid);
    managed.retry?.cancel();
    this.#deps.removeFromWorkers(managed.pod.uid);
    managed.netns.close();
    this.#deps.metrics.stopped();
    this.#deps.logger.info("pod has left the mesh", describe(managed.pod));
    this.#settle(managed, new MeshError("ZTUNNEL_POD_REMOVED", "The pod left while it was being started"));
    this.#deps.onChange();
  }

  #settle(managed: ManagedPod, error: MeshError | undefined): void {
    const waiters = managed.waiters;
    managed.waiters = [];
    for (const waiter of waiters) {
      if (error === undefined) waiter.resolve();
      else waiter.reject(error);
    }
  }

  #count(state: ManagedPod["state"]): number {
    let count = 0;
    for (const managed of this.#pods.values()) if (managed.state === state) count++;
    return count;
  }
}

function describe({ name, namespace, uid }: LocalPod): { readonly pod: string; readonly uid: string } {
  return { pod: `${namespace}/${name}`, uid };
}
