// Which node a pod runs on: the one its selector names, else the one with the fewest pods.
import { randomUUID } from "node:crypto";
import { type KubeObject, listKind, type ObjectRef, type ObjectSource, type Pod } from "@ambit/kube";
import { isDeleted } from "./deployments.ts";
import type { Write } from "./write.ts";

const HOSTNAME_LABEL = "kubernetes.io/hostname";

/** Pods that no node fits stay unscheduled, with the reason in their status. */
export function schedulingWrites(
  source: Pick<ObjectSource, "list">,
  nodeNames: readonly string[],
  newUid: () => string = randomUUID,
): Write[] {
  const pods = listKind(source, "Pod");
  const load = new Map(nodeNames.map((name) => [name, 0]));
  for (const { spec } of pods) {
    const { nodeName, hostNetwork } = spec;
    if (nodeName !== undefined && !hostNetwork && load.has(nodeName)) load.set(nodeName, (load.get(nodeName) ?? 0) + 1);
  }
  const waiting = pods.filter((pod) => pod.spec.nodeName === undefined && !isDeleted(pod)).sort(byName);
  const nameless = pods.filter(({ metadata, spec }) => spec.nodeName !== undefined && metadata.uid === undefined);
  const named = nameless.map((pod): Write => ({ type: "patch", ref: refTo(pod), patch: identity(pod, newUid), isDone: hasUid }));
  const scheduled = waiting.map((pod): Write => {
    const ref = refTo(pod);
    const fitting = nodeNames.filter((node) => fits(pod, node));
    const best = fitting.reduce<string | undefined>(
      (least, node) => (least === undefined || (load.get(node) ?? 0) < (load.get(least) ?? 0) ? node : least),
      undefined,
    );
    if (best === undefined) {
      const reason = `no node has the labels ${JSON.stringify(pod.spec.nodeSelector)}; nodes are ${nodeNames.join(", ")}`;
      return { type: "patch", ref, patch: { status: { phase: "Pending", reason: "Unschedulable", message: reason } } };
    }
    load.set(best, (load.get(best) ?? 0) + 1);
    const patch = { spec: { nodeName: best }, ...identity(pod, newUid) };
    return { type: "patch", ref, patch, isDone: (object) => (object as unknown as Pod).spec.nodeName !== undefined };
  });
  return [...named, ...scheduled];
}

const hasUid = ({ metadata }: KubeObject) => metadata.uid !== undefined;

function refTo({ metadata }: Pod): ObjectRef {
  return { kind: "Pod", namespace: metadata.namespace, name: metadata.name };
}

/** Whoever applied a pod by hand has left its identity to the cluster. */
function identity({ metadata }: Pod, newUid: () => string): Record<string, unknown> {
  return metadata.uid === undefined ? { metadata: { uid: newUid(), creationTimestamp: new Date().toISOString() } } : {};
}

/** Nodes carry this one label. */
function fits({ spec }: Pod, node: string): boolean {
  return Object.entries(spec.nodeSelector ?? {}).every(([label, value]) => label === HOSTNAME_LABEL && value === node);
}

function byName(a: Pod, b: Pod): number {
  const key = ({ metadata }: Pod) => `${metadata.namespace}/${metadata.name}`;
  return key(a) < key(b) ? -1 : 1;
}
