// Takes everything of ours out of this node: rules in pods, the node's own rule and sets, the annotations.
import { asMeshError, hasCode, type Logger } from "@ambit/core";
import type { ObjectWriter } from "@ambit/kube";
import { agentError } from "./errors.ts";
import type { HostProbes } from "./host-probes.ts";
import type { NetnsFinder } from "./netns-finder.ts";
import { describePod, type Pod, PROBLEM_ANNOTATION, REDIRECTION_ANNOTATION } from "./pod.ts";
import type { PodCache } from "./pod-cache.ts";
import type { Redirector } from "./redirector.ts";

export interface CleanUpDeps {
  readonly cache: PodCache;
  readonly finder: NetnsFinder;
  readonly redirector: Pick<Redirector, "remove">;
  readonly hostProbes: Pick<HostProbes, "remove">;
  readonly writer: ObjectWriter;
  readonly logger: Logger;
}

/** Goes on after a pod that fails. @throws CNI_REDIRECTION_FAILED naming the pods that are still redirected */
export async function cleanUpNode(deps: CleanUpDeps): Promise<void> {
  const left: string[] = [];
  for (const pod of deps.cache.list()) {
    if (pod.annotations[REDIRECTION_ANNOTATION] === undefined || pod.terminated) continue;
    try {
      await cleanUpPod(deps, pod);
    } catch (error) {
      left.push(describePod(pod));
      deps.logger.error("Pod is still redirected", {
        pod: describePod(pod),
        reason: asMeshError(error, "CNI_REDIRECTION_FAILED").message,
      });
    }
  }
  await deps.hostProbes.remove();
  if (left.length > 0) throw agentError("CNI_REDIRECTION_FAILED", `These pods are still redirected: ${left.join(", ")}`);
}

async function cleanUpPod({ finder, redirector, writer }: CleanUpDeps, pod: Pod): Promise<void> {
  const netns = await finder.find(pod);
  try {
    await redirector.remove(netns);
  } finally {
    netns.close();
  }
  try {
    const annotations = { [REDIRECTION_ANNOTATION]: null, [PROBLEM_ANNOTATION]: null };
    await writer.patch({ kind: "Pod", namespace: pod.namespace, name: pod.name }, { metadata: { annotations } });
  } catch (error) {
    if (!hasCode(error, "KUBE_NOT_FOUND")) throw error;
  }
}
