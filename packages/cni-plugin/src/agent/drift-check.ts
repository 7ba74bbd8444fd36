// Looks again and again whether redirection is still in place, and repairs it when somebody changed it.
import { asMeshError, type Clock, type Logger } from "@ambit/core";
import type { HostProbes } from "./host-probes.ts";
import type { AgentMetrics } from "./metrics.ts";
import { describePod } from "./pod.ts";
import type { PodQueue } from "./pod-queue.ts";
import { type EnrolledPod, isLocated, type LocatedPod, type PodSnapshot } from "./pod-snapshot.ts";
import type { Redirector } from "./redirector.ts";

export interface DriftCheckDeps {
  readonly snapshot: PodSnapshot;
  readonly redirector: Pick<Redirector, "ensure">;
  readonly hostProbes: Pick<HostProbes, "ensure" | "replaceAll">;
  readonly queue: PodQueue;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: AgentMetrics;
  /** Told when a pod could not be repaired; it is closed then, by the guard rails. */
  readonly onBroken: (pod: EnrolledPod) => void;
}

export interface DriftCheckOptions {
  readonly intervalMs: number;
}

export class DriftCheck {
  readonly #deps: DriftCheckDeps;
  readonly #options: DriftCheckOptions;

  constructor(deps: DriftCheckDeps, options: DriftCheckOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** A pause of `intervalMs` lies between the end of one round and the start of the next, until `signal` aborts. */
  start(signal: AbortSignal): void {
    const next = () => this.#deps.clock.after(this.#options.intervalMs, round);
    const round = () => {
      void this.runOnce(signal).then(() => {
        if (!signal.aborted) timer = next();
      });
    };
    let timer = next();
    signal.addEventListener("abort", () => timer.cancel(), { once: true });
  }

  /** Never throws: every pod is looked at, whatever happened to the one before. */
  async runOnce(signal?: AbortSignal): Promise<void> {
    await this.#checkNode();
    for (const { uid } of this.#deps.snapshot.list()) {
      if (signal?.aborted === true) return;
      await this.#deps.queue.run(uid, async () => {
        // Looked up now: it may have left while the round was going on.
        const pod = this.#deps.snapshot.get(uid);
        if (pod?.complete === true && isLocated(pod)) await this.#checkPod(pod);
      });
    }
  }

  async #checkPod(pod: LocatedPod): Promise<void> {
    const { redirector, metrics, logger, snapshot } = this.#deps;
    try {
      if ((await redirector.ensure(pod.netns, pod.settings, "repair")) === "unchanged") return;
      metrics.redirectionDrift.inc({ outcome: "repaired" });
      logger.warn("Somebody changed a pod's redirection; it is repaired", { pod: describePod(pod) });
    } catch (error) {
      metrics.redirectionDrift.inc({ outcome: "failed" });
      const { code, message } = asMeshError(error, "CNI_REDIRECTION_FAILED");
      logger.error("A pod's redirection is damaged and could not be repaired", { pod: describePod(pod), code, reason: message });
      snapshot.put({ ...pod, complete: false });
      this.#deps.onBroken(pod);
    }
  }

  async #checkNode(): Promise<void> {
    const { hostProbes, snapshot, metrics, logger } = this.#deps;
    try {
      const repaired = await hostProbes.ensure();
      await hostProbes.replaceAll(snapshot.list());
      if (!repaired) return;
      metrics.redirectionDrift.inc({ outcome: "repaired" });
      logger.warn("Somebody changed the node's probe exemption; it is repaired");
    } catch (error) {
      metrics.redirectionDrift.inc({ outcome: "failed" });
      logger.error("The node's probe exemption could not be checked; probes of enrolled pods may fail", {
        reason: String(error),
      });
    }
  }
}
