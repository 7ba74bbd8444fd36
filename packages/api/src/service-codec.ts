// Service messages <-> the vocabulary's Service.
import {
  asSpiffeId,
  type IpFamilies,
  type LoadBalancing,
  type LoadBalancingMode,
  type RoutingScope,
  type Service,
  type ServiceAddress,
  type SpiffeId,
} from "@ambit/core";
import { create } from "@bufbuild/protobuf";
import { enumNames } from "./enum-names.ts";
import { invalidField } from "./errors.ts";
import { decodeGateway, encodeGateway } from "./gateway-codec.ts";
import { Service_Visibility, type Service as ServiceMessage, ServiceSchema } from "./gen/workload_pb.js";
import { appProtocols, decodePort } from "./port-codec.ts";
import { decodeCidr, decodeNetworkAddress, encodeNetworkAddress } from "./wire-addresses.ts";

const scopes = enumNames<RoutingScope>([null, "region", "zone", "subzone", "node", "cluster", "network"]);
const modes = enumNames<LoadBalancingMode>(["unspecified", "strict", "failover", "passthrough"]);
const healthPolicies = enumNames<LoadBalancing["healthPolicy"]>(["onlyHealthy", "allowAll"]);
const ipFamilies = enumNames<IpFamilies>(["automatic", "ipv4Only", "ipv6Only", "dual"]);

export function decodeService(message: ServiceMessage): Service {
  const path = "service";
  if (message.hostname === "") throw invalidField(`${path}.hostname`, "is empty");
  const lb = message.loadBalancing;
  return {
    name: message.name,
    namespace: message.namespace,
    hostname: message.hostname,
    addresses: message.addresses.map((address, i): ServiceAddress => {
      const at = `${path}.addresses[${i}]`;
      const { network, ip } = decodeNetworkAddress(at, address);
      if (address.length === undefined) return { network, ip };
      return { network, ip, length: decodeCidr(at, address.address, address.length).length };
    }),
    ports: message.ports.map((port, i) => ({
      servicePort: decodePort(`${path}.ports[${i}].service_port`, port.servicePort),
      targetPort: decodePort(`${path}.ports[${i}].target_port`, port.targetPort),
      appProtocol: appProtocols.decode(`${path}.ports[${i}].app_protocol`, port.appProtocol),
    })),
    subjectAltNames: message.subjectAltNames.map((name, i) => decodeSan(`${path}.subject_alt_names[${i}]`, name)),
    ...(message.waypoint === undefined ? {} : { waypoint: decodeGateway(`${path}.waypoint`, message.waypoint) }),
    weightedWaypoints: message.weightedWaypoints.map(({ destination, weight }, i) => {
      const at = `${path}.weighted_waypoints[${i}].destination`;
      if (destination === undefined) throw invalidField(at, "is missing");
      return { destination: decodeGateway(at, destination), weight };
    }),
    ingressUseWaypoint: message.ingressUseWaypoint,
    ...(lb === undefined
      ? {}
      : {
          loadBalancing: {
            routingPreference: lb.routingPreference.map((scope, i) =>
              scopes.decode(`${path}.load_balancing.routing_preference[${i}]`, scope),
            ),
            mode: modes.decode(`${path}.load_balancing.mode`, lb.mode),
            healthPolicy: healthPolicies.decode(`${path}.load_balancing.health_policy`, lb.healthPolicy),
          },
        }),
    ipFamilies: ipFamilies.decode(`${path}.ip_families`, message.ipFamilies),
    canonical: message.canonical,
    // The one enum whose unknown values are taken for the default, so that a newer control plane can add one.
    visibility: message.visibility === Service_Visibility.NAMESPACE ? "namespace" : "public",
  };
}

function decodeSan(path: string, text: string): SpiffeId {
  const id = asSpiffeId(text);
  if (id === undefined) throw invalidField(path, `${JSON.stringify(text)} is not a SPIFFE ID`);
  return id;
}

export function encodeServiceMessage(service: Service): ServiceMessage {
  const lb = service.loadBalancing;
  return create(ServiceSchema, {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    addresses: service.addresses.map((address) => encodeNetworkAddress(address, address.length)),
    ports: service.ports.map(({ servicePort, targetPort, appProtocol }) => ({
      servicePort,
      targetPort,
      appProtocol: appProtocols.encode(appProtocol),
    })),
    subjectAltNames: [...service.subjectAltNames],
    ...(service.waypoint === undefined ? {} : { waypoint: encodeGateway(service.waypoint) }),
    weightedWaypoints: service.weightedWaypoints.map(({ destination, weight }) => ({
      destination: encodeGateway(destination),
      weight,
    })),
    ingressUseWaypoint: service.ingressUseWaypoint,
    ...(lb === undefined
      ? {}
      : {
          loadBalancing: {
            routingPreference: lb.routingPreference.map((scope) => scopes.encode(scope)),
            mode: modes.encode(lb.mode),
            healthPolicy: healthPolicies.encode(lb.healthPolicy),
          },
        }),
    ipFamilies: ipFamilies.encode(service.ipFamilies),
    canonical: service.canonical,
    visibility: service.visibility === "namespace" ? Service_Visibility.NAMESPACE : Service_Visibility.PUBLIC,
  });
}
