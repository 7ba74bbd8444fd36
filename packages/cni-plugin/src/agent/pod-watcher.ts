// Keeps the mesh as the objects say while pods run: enrols, repairs, removes, and tells the result on the pod.
import { asMeshError, Backoff, type Clock, hasCode, type Logger, type PodUid } from "@ambit/core";
import type { ObjectWriter } from "@ambit/kube";
import type { Enrolment } from "./enrolment.ts";
import type { AgentMetrics } from "./metrics.ts";
import type { NetnsFinder } from "./netns-finder.ts";
import { describePod, type Pod, PROBLEM_ANNOTATION, REDIRECTION_ANNOTATION } from "./pod.ts";
import type { PodCache } from "./pod-cache.ts";
import type { PodQueue } from "./pod-queue.ts";
import { type EnrolledPod, isLocated, type PodSnapshot } from "./pod-snapshot.ts";

export interface PodWatcherDeps {
  readonly cache: PodCache;
  readonly snapshot: PodSnapshot;
  readonly enrolment: Enrolment;
  readonly finder: NetnsFinder;
  readonly queue: PodQueue;
  readonly writer: ObjectWriter;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: AgentMetrics;
}

/** @source istio cni/pkg/nodeagent/informers.go: 5 ms doubling to 5 s, for ever */
const RETRY = { initialMs: 5, maxMs: 5000 };

export class PodWatcher {
  readonly #deps: PodWatcherDeps;
  readonly #backoffs = new Map<PodUid, Backoff>();
  readonly #problems = new Map<PodUid, string>();
  readonly #retrying = new Set<PodUid>();
  /** Asked for and not begun: many changes of a pod become one look at it. */
  readonly #scheduled = new Set<PodUid>();
  #signal: AbortSignal | undefined;

  constructor(deps: PodWatcherDeps) {
    this.#deps = deps;
  }

  /** Looks at every pod once and then at those that change, until `signal` aborts. */
  start(signal: AbortSignal): void {
    this.#signal = signal;
    const unsubscribe = this.#deps.cache.subscribe((uids) => {
      // A pod that waits for its next try is left to it: writing its annotation is a change too.
      for (const uid of uids) if (!this.#retrying.has(uid)) this.reconcileSoon(uid);
    });
    signal.addEventListener("abort", unsubscribe, { once: true });
    for (const pod of this.#deps.cache.list()) this.reconcileSoon(pod.uid);
    for (const entry of this.#deps.snapshot.list()) this.reconcileSoon(entry.uid);
  }

  /** Why each pod that should be in the mesh is not; empty when all is well. */
  problems(): ReadonlyMap<PodUid, string> {
    return this.#problems;
  }

  /** Never throws: what fails is tried again, with growing pauses. */
  reconcileSoon(uid: PodUid): void {
    if (this.#signal?.aborted !== false || this.#scheduled.has(uid)) return;
    this.#scheduled.add(uid);
    void this.#deps.queue.run(uid, async () => {
      this.#scheduled.delete(uid);
      if (this.#signal?.aborted !== false) return;
      try {
        await this.#reconcile(uid);
        this.#backoffs.delete(uid);
        this.#problems.delete(uid);
      } catch (error) {
        this.#retryLater(uid, error);
      }
      this.#count();
    });
  }

  /** Compares what the pod should be with what it is, and does what is missing. */
  async #reconcile(uid: PodUid): Promise<void> {
    const { cache, snapshot, enrolment } = this.#deps;
    const entry = snapshot.get(uid);
    const pod = cache.get(uid);
    if (pod === undefined) {
      if (entry === undefined) return;
      this.#deps.metrics.reconcileEvents.inc({ type: "delete" });
      return enrolment.removePod(entry, false);
    }
    if (pod.terminated || cache.eligibility(pod).kind === "skip") return this.#leave(pod, entry);
    if (entry?.complete !== true && !(await this.#enter(pod, entry))) return;
    const current = snapshot.get(uid);
    if (current !== undefined && pod.ips.length > 0 && !sameMembers(current.ips, pod.ips)) {
      await enrolment.changeAddresses(current, pod.ips);
    }
    await this.#annotate(pod, { [REDIRECTION_ANNOTATION]: "enabled", [PROBLEM_ANNOTATION]: null });
  }

  /** @returns false when there is nothing to enrol yet */
  async #enter(pod: Pod, entry: EnrolledPod | undefined): Promise<boolean> {
    const { enrolment, finder, metrics } = this.#deps;
    // Without an address its sandbox is still being made; the runtime will ask for it through the plugin.
    // One that is being deleted and not known has lost its sandbox already.
    if (entry === undefined && (pod.ips.length === 0 || pod.deleting)) return false;
    metrics.reconcileEvents.inc({ type: "add" });
    if (entry !== undefined && isLocated(entry)) await enrolment.finishPod(entry);
    else
      await enrolment.addRunningPod({ pod, netns: await finder.find(pod), ips: pod.ips, containerId: entry?.containerId ?? "" });
    return true;
  }

  async #leave(pod: Pod, entry: EnrolledPod | undefined): Promise<void> {
    if (entry !== undefined) {
      this.#deps.metrics.reconcileEvents.inc({ type: "remove" });
      await this.#deps.enrolment.removePod(entry, !pod.terminated);
    } else if (
      !pod.terminated &&
      pod.annotations[REDIRECTION_ANNOTATION] !== undefined &&
      !pod.hostNetwork &&
      pod.ips.length > 0
    ) {
      // Enrolled by an agent that stopped before the pod's labels changed: its rules are still there.
      await this.#deps.enrolment.cleanPod(await this.#deps.finder.find(pod));
    }
    await this.#annotate(pod, { [REDIRECTION_ANNOTATION]: null, [PROBLEM_ANNOTATION]: null });
  }

  #retryLater(uid: PodUid, error: unknown): void {
    const failure = asMeshError(error, "CNI_POD_NOT_ENROLLED");
    const pod = this.#deps.cache.get(uid);
    const backoff = this.#backoffs.get(uid) ?? new Backoff(RETRY);
    this.#backoffs.set(uid, backoff);
    const pauseMs = backoff.next();
    const known = this.#problems.get(uid) === failure.message;
    this.#problems.set(uid, failure.message);
    this.#deps.metrics.enrolmentFailures.inc({ code: failure.code });
    const fields = {
      pod: pod === undefined ? uid : describePod(pod),
      code: failure.code,
      reason: failure.message,
      retryInMs: pauseMs,
    };
    if (known) this.#deps.logger.debug("Pod is still not as it should be", fields);
    else this.#deps.logger.warn("Pod is not as it should be, trying again", fields);
    this.#retrying.add(uid);
    this.#deps.clock.after(pauseMs, () => {
      this.#retrying.delete(uid);
      this.reconcileSoon(uid);
    });
    if (pod !== undefined && !known) this.#tell(pod, failure.message);
  }

  /** Says on the pod why it is not in the mesh: `pending` when it was given to enrolment, nothing when it never was. */
  #tell(pod: Pod, problem: string): void {
    const state = this.#deps.snapshot.get(pod.uid) === undefined ? null : "pending";
    const annotations = { [REDIRECTION_ANNOTATION]: state, [PROBLEM_ANNOTATION]: problem };
    this.#annotate(pod, annotations).catch((error: unknown) => {
      this.#deps.logger.warn("Could not write the pod's annotation", { pod: describePod(pod), reason: String(error) });
    });
  }

  /** Writes only what differs; a pod that is gone has nothing to be told. */
  async #annotate(pod: Pod, wanted: Readonly<Record<string, string | null>>): Promise<void> {
    const annotations = Object.fromEntries(
      Object.entries(wanted).filter(([key, value]) => (pod.annotations[key] ?? null) !== value),
    );
    if (Object.keys(annotations).length === 0) return;
    try {
      await this.#deps.writer.patch({ kind: "Pod", namespace: pod.namespace, name: pod.name }, { metadata: { annotations } });
    } catch (error) {
      if (!hasCode(error, "KUBE_NOT_FOUND")) throw error;
    }
  }

  #count(): void {
    this.#deps.metrics.podsNotEnrolled.set({}, this.#problems.size);
    this.#deps.metrics.podsEnrolled.set({}, this.#deps.snapshot.list().filter((entry) => entry.complete).length);
  }
}

function sameMembers(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((member) => b.includes(member));
}
