// ServiceEntries → one service of the mesh for each host.
import { asSpiffeId, parseCidr, parseIp, type ServiceAddress } from "@ambit/core";
import type { ServiceEntry } from "@ambit/kube";
import { type AllocatedAddresses, allocationKey, needsAllocation, statusAddresses } from "./address-allocation.ts";
import { loadBalancingOf } from "./load-balancing.ts";
import type { MeshService } from "./mesh-service.ts";
import { protocolOfName } from "./port-protocol.ts";
import type { MeshSettings } from "./settings.ts";
import { type BoundObject, type WaypointFinder, waypointsOfService } from "./waypoints.ts";

/** @source istio pilot/pkg/serviceregistry/ambient/services.go serviceEntriesInfo */
export function translateServiceEntry(
  entry: ServiceEntry,
  bound: BoundObject,
  find: WaypointFinder,
  allocated: AllocatedAddresses,
  { network }: MeshSettings,
): MeshService[] {
  const { metadata, spec } = entry;
  const { problem, ...waypoints } = waypointsOfService(bound, find);
  const loadBalancing = balancingOf(entry, bound);
  return spec.hosts.map((hostname) => ({
    kind: "ServiceEntry" as const,
    objectName: metadata.name,
    creationTimestamp: metadata.creationTimestamp ?? "",
    selector: spec.workloadSelector?.labels,
    portNames: new Map(spec.ports.map(({ number, name }) => [number, { name }])),
    problem,
    service: {
      name: metadata.name,
      namespace: metadata.namespace,
      hostname,
      addresses: addressesOf(entry, hostname, allocated).map((address) => ({ network, ...address })),
      ports: spec.ports.map(({ number, targetPort, protocol }) => ({
        servicePort: number,
        targetPort: targetPort ?? number,
        appProtocol: protocolOfName(protocol),
      })),
      // The data plane compares SPIFFE identities; a name of another form could never match, and proxies refuse it.
      subjectAltNames: (spec.subjectAltNames ?? []).map(asSpiffeId).filter((id) => id !== undefined),
      ...waypoints,
      ...(loadBalancing === undefined ? {} : { loadBalancing }),
      ipFamilies: "automatic",
      canonical: true,
      visibility: "public",
    },
  }));
}

function balancingOf({ metadata, spec }: ServiceEntry, { namespaceAnnotations }: BoundObject) {
  if (spec.resolution === "NONE")
    return { routingPreference: [], mode: "passthrough" as const, healthPolicy: "allowAll" as const };
  const { annotations } = metadata;
  return loadBalancingOf({ annotations, namespaceAnnotations, publishNotReadyAddresses: false });
}

function addressesOf(entry: ServiceEntry, host: string, allocated: AllocatedAddresses): Omit<ServiceAddress, "network">[] {
  if (needsAllocation(entry)) {
    const inStatus = statusAddresses(entry, host);
    return (inStatus.length > 0 ? inStatus : (allocated.get(allocationKey(entry, host)) ?? [])).map((ip) => ({ ip }));
  }
  return (entry.spec.addresses ?? []).flatMap((text) => {
    const single = parseIp(text);
    if (single !== undefined) return [{ ip: single }];
    const block = parseCidr(text);
    return block === undefined ? [] : [{ ip: block.address, length: block.length }];
  });
}
