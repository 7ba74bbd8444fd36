// At start: pods that a former agent enrolled are found again and put right, before anybody is told about them.
import { asMeshError, hasCode, type Logger } from "@ambit/core";
import type { Enrolment } from "./enrolment.ts";
import type { NetnsFinder } from "./netns-finder.ts";
import { describePod, type Pod, REDIRECTION_ANNOTATION } from "./pod.ts";
import type { PodCache } from "./pod-cache.ts";
import type { OnDrift } from "./redirector.ts";

export interface RecoveryDeps {
  readonly cache: PodCache;
  readonly enrolment: Enrolment;
  readonly finder: NetnsFinder;
  readonly logger: Logger;
}

/** Never throws for a single pod: the watcher tries again what failed here. */
export async function recoverPods(deps: RecoveryDeps, onDrift: OnDrift): Promise<void> {
  for (const pod of deps.cache.list()) {
    if (pod.annotations[REDIRECTION_ANNOTATION] !== "enabled" || pod.terminated) continue;
    if (deps.cache.eligibility(pod).kind === "skip") continue;
    try {
      await recover(deps, pod, onDrift);
    } catch (error) {
      const { code, message } = asMeshError(error, "CNI_POD_NOT_ENROLLED");
      deps.logger.warn("Pod of before could not be recovered yet", { pod: describePod(pod), code, reason: message });
    }
  }
}

async function recover({ enrolment, finder }: RecoveryDeps, pod: Pod, onDrift: OnDrift): Promise<void> {
  try {
    const netns = await finder.find(pod);
    await enrolment.recoverPod({ pod, netns, ips: pod.ips, containerId: "" }, onDrift);
  } catch (error) {
    if (hasCode(error, "CNI_NETNS_NOT_FOUND") || hasCode(error, "CNI_NETNS_AMBIGUOUS")) enrolment.keepUnfoundPod(pod);
    throw error;
  }
}
