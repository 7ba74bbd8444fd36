// The cluster's state as the API tells it.
import { listKind, type Pod } from "@ambit/kube";
import type { Cluster } from "../cluster.ts";
import { isReady } from "../controllers/deployments.ts";
import { CONTROL_PLANE, type Machine } from "../network/plan.ts";
import type { LabState, NodeState, PodSummary } from "./contract.ts";

const MODE_LABEL = "istio.io/dataplane-mode";
const REDIRECTION_ANNOTATION = "ambient.istio.io/redirection";

export function labState(cluster: Cluster): LabState {
  const nodeState = (machine: Machine): NodeState => ({
    name: machine.name,
    address: machine.ips[4],
    components: cluster.components.map(({ state }) => state).filter(({ node }) => node === machine.name),
  });
  const modes = new Map(
    listKind(cluster.source, "Namespace").map(({ metadata }) => [metadata.name, metadata.labels[MODE_LABEL]]),
  );
  return {
    ready: cluster.ready,
    mesh: cluster.options.mesh,
    nodes: cluster.nodes.map(nodeState),
    controlPlane: nodeState(CONTROL_PLANE),
    pods: listKind(cluster.source, "Pod")
      .map((pod) => podSummary(pod, modes.get(pod.metadata.namespace)))
      .sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1)),
  };
}

function podSummary(pod: Pod, namespaceMode: string | undefined): PodSummary {
  const { metadata, spec, status } = pod;
  return {
    name: metadata.name,
    namespace: metadata.namespace,
    node: spec.nodeName ?? "",
    ips: (status?.podIPs ?? []).map(({ ip }) => ip),
    serviceAccount: spec.serviceAccountName,
    phase: metadata.deletionTimestamp === undefined ? (status?.phase ?? "Pending") : "Terminating",
    ready: isReady(pod),
    restarts: (status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0),
    wantsMesh: (metadata.labels[MODE_LABEL] ?? namespaceMode) === "ambient",
    redirection: metadata.annotations[REDIRECTION_ANNOTATION] ?? null,
    labels: metadata.labels,
  };
}
