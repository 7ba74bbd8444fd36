// Kubernetes Services → services of the mesh.
import { type IpFamilies, ipFamily, parseIp, type ServiceAddress } from "@ambit/core";
import type { KubeService } from "@ambit/kube";
import { loadBalancingOf } from "./load-balancing.ts";
import type { MeshService } from "./mesh-service.ts";
import { protocolOfPort } from "./port-protocol.ts";
import type { MeshSettings } from "./settings.ts";
import { type BoundObject, type WaypointFinder, waypointsOfService } from "./waypoints.ts";

/** Undefined for an ExternalName: it is a DNS alias, nothing is addressed by it. @source istio pilot/pkg/serviceregistry/ambient/services.go */
export function translateKubernetesService(
  { metadata, spec }: KubeService,
  bound: BoundObject,
  find: WaypointFinder,
  { network, domain }: MeshSettings,
): MeshService | undefined {
  if (spec.type === "ExternalName") return undefined;
  const { name, namespace, annotations } = metadata;
  const { problem, ...waypoints } = waypointsOfService(bound, find);
  const addresses = clusterIps(spec).map((ip): ServiceAddress => ({ network, ip }));
  const loadBalancing = loadBalancingOf({ ...spec, annotations, namespaceAnnotations: bound.namespaceAnnotations });
  return {
    kind: "Service",
    objectName: name,
    creationTimestamp: metadata.creationTimestamp ?? "",
    selector: spec.selector,
    portNames: new Map(
      spec.ports.map(({ port, name: portName = "", targetPort }) => [
        port,
        { name: portName, targetName: typeof targetPort === "string" ? targetPort : undefined },
      ]),
    ),
    problem,
    service: {
      name,
      namespace,
      hostname: `${name}.${namespace}.svc.${domain}`,
      addresses,
      ports: spec.ports.map((port) => ({
        servicePort: port.port,
        targetPort: typeof port.targetPort === "string" ? 0 : (port.targetPort ?? port.port),
        appProtocol: protocolOfPort(port),
      })),
      subjectAltNames: [],
      ...waypoints,
      ...(loadBalancing === undefined ? {} : { loadBalancing }),
      ipFamilies: familiesOf(spec),
      canonical: true,
      visibility: "public",
    },
  };
}

function clusterIps({ clusterIP, clusterIPs }: KubeService["spec"]) {
  const texts = clusterIPs !== undefined && clusterIPs.length > 0 ? clusterIPs : clusterIP === undefined ? [] : [clusterIP];
  return texts.map(parseIp).filter((ip) => ip !== undefined);
}

function familiesOf(spec: KubeService["spec"]): IpFamilies {
  const named = spec.ipFamilies?.map((family) => (family === "IPv6" ? 6 : 4)) ?? clusterIps(spec).map(ipFamily);
  const v4 = named.includes(4);
  const v6 = named.includes(6);
  if (v4 && v6) return "dual";
  return v4 ? "ipv4Only" : v6 ? "ipv6Only" : "automatic";
}
