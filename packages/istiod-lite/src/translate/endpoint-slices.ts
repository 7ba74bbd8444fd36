// EndpointSlices → workloads for the addresses that belong to no pod.
import { namespacedHostname, type PortMap, parseIp, type Workload, type WorkloadUid } from "@ambit/core";
import type { EndpointSlice } from "@ambit/kube";
import { SERVICE_NAME } from "./labels.ts";
import { type MeshContext, NO_LOCALITY } from "./mesh-context.ts";
import type { MeshService } from "./mesh-service.ts";

/** Found through their service only, never by address: whose address it is, is not known. @source istio workloads.go endpointSlicesBuilder */
export function translateEndpointSlice(slice: EndpointSlice, context: MeshContext): Workload[] {
  const { name, namespace, labels } = slice.metadata;
  const serviceName = labels[SERVICE_NAME];
  const { clusterId, network, trustDomain, domain } = context.settings;
  const key = namespacedHostname(namespace, `${serviceName}.${namespace}.svc.${domain}`);
  const service = context.services.byKey(key);
  if (serviceName === undefined || slice.addressType === "FQDN" || service?.kind !== "Service") return [];
  const services = new Map([[key, portsOf(slice, service)]]);
  const workloads = new Map<string, Workload>();
  for (const { addresses, conditions, targetRef } of slice.endpoints) {
    const address = addresses[0];
    if (targetRef?.kind === "Pod" || address === undefined) continue;
    const uid = `${clusterId}/discovery.k8s.io/EndpointSlice/${namespace}/${name}/${address}` as WorkloadUid;
    if (workloads.has(uid)) continue;
    workloads.set(uid, {
      uid,
      name,
      namespace,
      addresses: addresses.map(parseIp).filter((ip) => ip !== undefined),
      hostname: "",
      network,
      networkMode: "hostNetwork",
      tunnelProtocol: "none",
      nativeTunnel: false,
      trustDomain,
      serviceAccount: "default",
      clusterId,
      node: "",
      locality: NO_LOCALITY,
      canonicalName: "",
      canonicalRevision: "",
      workloadType: "deployment",
      workloadName: "",
      services,
      authorizationPolicies: [],
      status: conditions?.ready === false ? "unhealthy" : "healthy",
      capacity: 1,
    });
  }
  return [...workloads.values()];
}

/** Slices name the service's ports and give their numbers. */
function portsOf({ ports }: EndpointSlice, { service, portNames }: MeshService): PortMap {
  const numbers = new Map<number, number>();
  for (const { name, port, protocol } of ports) {
    if (typeof port !== "number" || protocol !== "TCP") continue;
    const match = service.ports.find(({ servicePort }) => portNames.get(servicePort)?.name === (name ?? ""));
    if (match !== undefined) numbers.set(match.servicePort, port);
  }
  return numbers;
}
