// Pods → workloads.
import { type NamespacedHostname, namespacedHostname, type PortMap, parseIp, type Workload, type WorkloadUid } from "@ambit/core";
import type { Pod } from "@ambit/kube";
import { canonicalName, canonicalRevision, GATEWAY_NAME, SERVICE_NAME, selects, tunnelFacts, USE_WAYPOINT } from "./labels.ts";
import type { MeshContext } from "./mesh-context.ts";
import { portsOfEndpoint } from "./mesh-service.ts";
import type { MeshServices } from "./mesh-services.ts";
import type { TranslationProblem } from "./problem.ts";
import { bindWaypoint } from "./waypoints.ts";

function podUid(clusterId: string, namespace: string, name: string): WorkloadUid {
  return `${clusterId}//Pod/${namespace}/${name}` as WorkloadUid;
}

/** Undefined for a pod that has ended or has no address yet. @source istio pilot/pkg/serviceregistry/ambient/workloads.go podWorkloadBuilder */
export function translatePod(pod: Pod, context: MeshContext): Workload | undefined {
  const { metadata, spec } = pod;
  const { name, namespace, labels, annotations } = metadata;
  const addresses = addressesOf(pod);
  if (isTerminal(pod) || addresses.length === 0) return undefined;
  const { clusterId, network, trustDomain } = context.settings;
  const workloadName = labels["service.istio.io/workload-name"] || ownerNameOf(pod);
  return {
    uid: podUid(clusterId, namespace, name),
    name,
    namespace,
    addresses,
    hostname: "",
    network,
    networkMode: spec.hostNetwork ? "hostNetwork" : "standard",
    ...tunnelFacts(labels, annotations),
    trustDomain,
    serviceAccount: spec.serviceAccountName,
    clusterId,
    ...waypointFacts(pod, context),
    node: spec.nodeName ?? "",
    locality: context.localityOfNode(spec.nodeName ?? ""),
    canonicalName: canonicalName(labels, workloadName),
    canonicalRevision: canonicalRevision(labels),
    // Telemetry tells pods by this; the kind of their owner is not on the wire.
    workloadType: "pod",
    workloadName,
    services: servicesOf(pod, context),
    authorizationPolicies: context.policies.attachedTo(namespace, labels),
    status: isReady(pod) ? "healthy" : "unhealthy",
    capacity: 1,
  };
}

export function isTerminal({ status }: Pod): boolean {
  return status?.phase === "Succeeded" || status?.phase === "Failed";
}

function isReady({ metadata, status }: Pod): boolean {
  if (metadata.deletionTimestamp !== undefined) return false;
  return status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") ?? false;
}

function addressesOf({ status }: Pod) {
  const many = (status?.podIPs ?? []).map(({ ip }) => ip);
  const texts = many.length > 0 ? many : status?.podIP === undefined ? [] : [status.podIP];
  return texts.map(parseIp).filter((ip) => ip !== undefined);
}

/** The Deployment or CronJob behind the pod's owner, as far as names tell; the pod itself when nobody owns it. */
function ownerNameOf({ metadata }: Pod): string {
  const owner = metadata.ownerReferences?.[0];
  if (owner === undefined) return metadata.name;
  const hash = metadata.labels["pod-template-hash"];
  if (owner.kind === "ReplicaSet" && hash && owner.name.endsWith(`-${hash}`)) return owner.name.slice(0, -hash.length - 1);
  if (owner.kind === "Job") return /^(.+)-\d{8,10}$/.exec(owner.name)?.[1] ?? owner.name;
  return owner.name;
}

/** Pods of a waypoint are bound to none; they may take traffic in another form. */
export function waypointFacts(
  { metadata }: Pick<Pod, "metadata">,
  context: MeshContext,
): Pick<Workload, "waypoint" | "applicationTunnel"> {
  const gatewayName = metadata.labels[GATEWAY_NAME];
  const instanceOf = gatewayName === undefined ? undefined : context.services.findWaypoint(metadata.namespace, gatewayName);
  if (instanceOf !== undefined)
    return instanceOf.inboundBinding === undefined ? {} : { applicationTunnel: instanceOf.inboundBinding };
  const { waypoint } = bindWaypoint(context.services.bound(metadata), "workload", context.services.findWaypoint);
  return waypoint === undefined ? {} : { waypoint: waypoint.address };
}

/** Why the pod's own waypoint label has no effect; that of its namespace is for services first. */
export function waypointProblem({ metadata }: Pod, services: MeshServices): TranslationProblem | undefined {
  if (metadata.labels[USE_WAYPOINT] === undefined) return undefined;
  const { problem: reason } = bindWaypoint(services.bound(metadata), "workload", services.findWaypoint);
  return reason === undefined ? undefined : { kind: "Pod", namespace: metadata.namespace, name: metadata.name, reason };
}

function servicesOf(pod: Pod, context: MeshContext): Map<NamespacedHostname, PortMap> {
  const { namespace, name, labels } = pod.metadata;
  const services = new Map<NamespacedHostname, PortMap>();
  for (const item of context.services.inNamespace(namespace)) {
    if (!selects(item.selector, labels)) continue;
    services.set(
      namespacedHostname(namespace, item.service.hostname),
      portsOfEndpoint(item, (portName) => portNumberOf(pod, portName)),
    );
  }
  for (const slice of context.services.slicesOfPod(namespace, name)) {
    const key = namespacedHostname(
      namespace,
      `${slice.metadata.labels[SERVICE_NAME]}.${namespace}.svc.${context.settings.domain}`,
    );
    const item = context.services.byKey(key);
    // A Service with a selector finds its pods by itself; its slices only repeat that.
    if (item === undefined || Object.keys(item.selector ?? {}).length > 0) continue;
    services.set(
      key,
      portsOfEndpoint(item, (portName) => portNumberOf(pod, portName)),
    );
  }
  return services;
}

function portNumberOf({ spec }: Pod, name: string): number | undefined {
  for (const { ports } of spec.containers) for (const port of ports) if (port.name === name) return port.containerPort;
  return undefined;
}
