// WorkloadEntries, and endpoints written inside ServiceEntries → workloads.
import {
  type Locality,
  type NamespacedHostname,
  namespacedHostname,
  type PortMap,
  parseIp,
  type Workload,
  type WorkloadUid,
} from "@ambit/core";
import type { ServiceEntry, WorkloadEntry, WorkloadEntrySpec } from "@ambit/kube";
import { canonicalName, canonicalRevision, type Labels, selects, tunnelFacts } from "./labels.ts";
import type { MeshContext } from "./mesh-context.ts";
import { type MeshService, portsOfWorkloadEntry } from "./mesh-service.ts";
import { waypointFacts } from "./pods.ts";

/** @source istio pilot/pkg/serviceregistry/ambient/workloads.go workloadEntryWorkloadBuilder */
export function translateWorkloadEntry({ metadata, spec }: WorkloadEntry, context: MeshContext): Workload {
  const { name, namespace, annotations } = metadata;
  // Labels may stand in either place.
  const labels = { ...metadata.labels, ...spec.labels };
  const selecting = context.services.inNamespace(namespace).filter(({ selector }) => selects(selector, labels));
  return {
    uid: `${context.settings.clusterId}/networking.istio.io/WorkloadEntry/${namespace}/${name}` as WorkloadUid,
    ...endpointFacts({ name, namespace, labels, annotations, spec, services: selecting }, context),
    authorizationPolicies: context.policies.attachedTo(namespace, labels),
    ...waypointFacts({ metadata: { ...metadata, labels } }, context),
  };
}

/** A host that is resolved by name and has no endpoints is its own endpoint. @source istio workloads.go serviceEntryWorkloadBuilder */
export function translateInlineEndpoints(entry: ServiceEntry, context: MeshContext): Workload[] {
  const { metadata, spec } = entry;
  const { name, namespace, annotations } = metadata;
  const own = context.services
    .inNamespace(namespace)
    .filter(({ kind, objectName }) => kind === "ServiceEntry" && objectName === name);
  const endpoints: readonly { readonly spec: WorkloadEntrySpec; readonly services: readonly MeshService[] }[] = isResolvedByHost(
    entry,
  )
    ? spec.hosts.map((host) => ({ spec: { address: host }, services: own.filter(({ service }) => service.hostname === host) }))
    : (spec.endpoints ?? []).map((endpoint) => ({ spec: endpoint, services: own }));
  const workloads = new Map<string, Workload>();
  for (const endpoint of endpoints) {
    const labels = endpoint.spec.labels ?? {};
    const address = endpoint.spec.address ?? "";
    const uid = `${context.settings.clusterId}/networking.istio.io/ServiceEntry/${namespace}/${name}/${address}` as WorkloadUid;
    if (address === "" || workloads.has(uid)) continue;
    workloads.set(uid, {
      uid,
      ...endpointFacts({ name, namespace, labels, annotations, ...endpoint }, context),
      authorizationPolicies: context.policies.attachedTo(namespace, labels),
      ...waypointFacts({ metadata: { ...metadata, labels: metadata.labels } }, context),
    });
  }
  return [...workloads.values()];
}

function isResolvedByHost({ spec }: ServiceEntry): boolean {
  const byName = spec.resolution === "DNS" || spec.resolution === "DNS_ROUND_ROBIN";
  return byName && (spec.endpoints ?? []).length === 0 && spec.workloadSelector === undefined;
}

interface EndpointSource {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly spec: WorkloadEntrySpec;
  readonly services: readonly MeshService[];
}

function endpointFacts(
  { name, namespace, labels, annotations, spec, services }: EndpointSource,
  { settings }: MeshContext,
): Omit<Workload, "uid" | "authorizationPolicies" | "waypoint" | "applicationTunnel"> {
  const ip = parseIp(spec.address ?? "");
  return {
    name,
    namespace,
    addresses: ip === undefined ? [] : [ip],
    hostname: ip === undefined ? (spec.address ?? "") : "",
    network: spec.network || settings.network,
    networkMode: "standard",
    ...tunnelFacts(labels, annotations),
    trustDomain: settings.trustDomain,
    serviceAccount: spec.serviceAccount || "default",
    clusterId: settings.clusterId,
    node: "",
    locality: localityOf(spec.locality),
    canonicalName: canonicalName(labels, name),
    canonicalRevision: canonicalRevision(labels),
    workloadType: "pod",
    workloadName: name,
    services: new Map<NamespacedHostname, PortMap>(
      services.map((item) => [
        namespacedHostname(item.service.namespace, item.service.hostname),
        portsOfWorkloadEntry(item, spec.ports ?? {}),
      ]),
    ),
    // Nobody probes what is not a pod.
    status: "healthy",
    capacity: spec.weight || 1,
  };
}

/** `region/zone/subzone`. */
function localityOf(text: string | undefined): Locality {
  const [region = "", zone = "", subzone = ""] = (text ?? "").split("/");
  return { region, zone, subzone };
}
