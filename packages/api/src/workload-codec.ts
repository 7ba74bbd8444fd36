// Workload messages <-> the vocabulary's Workload.
import {
  ipToBytes,
  type NamespacedHostname,
  type PolicyKey,
  type TunnelProtocol,
  type Workload,
  type WorkloadStatus,
  type WorkloadType,
  type WorkloadUid,
} from "@ambit/core";
import { create } from "@bufbuild/protobuf";
import { enumNames } from "./enum-names.ts";
import { invalidField } from "./errors.ts";
import { decodeGateway, encodeGateway } from "./gateway-codec.ts";
import { type Workload as WorkloadMessage, WorkloadSchema } from "./gen/workload_pb.js";
import { decodePort } from "./port-codec.ts";
import { decodeIp } from "./wire-addresses.ts";

// LEGACY_ISTIO_MTLS is a number of the protocol that no ambient proxy serves.
const tunnelProtocols = enumNames<TunnelProtocol>(["none", "hbone", null]);
const workloadTypes = enumNames<WorkloadType>(["deployment", "cronjob", "pod", "job"]);
const statuses = enumNames<WorkloadStatus>(["healthy", "unhealthy"]);
const networkModes = enumNames<Workload["networkMode"]>(["standard", "hostNetwork"]);
const applicationTunnels = enumNames<"none" | "proxy">(["none", "proxy"]);

/** What an empty field means. @source ztunnel src/state/workload.rs */
const DEFAULTS = { trustDomain: "cluster.local", serviceAccount: "default", clusterId: "Kubernetes", capacity: 1 } as const;

export function decodeWorkload(message: WorkloadMessage): Workload {
  const path = "workload";
  if (message.uid === "") throw invalidField(`${path}.uid`, "is empty");
  const tunnel = message.applicationTunnel;
  return {
    uid: message.uid as WorkloadUid,
    name: message.name,
    namespace: message.namespace,
    addresses: message.addresses.map((bytes, i) => decodeIp(`${path}.addresses[${i}]`, bytes)),
    hostname: message.hostname,
    network: message.network,
    networkMode: networkModes.decode(`${path}.network_mode`, message.networkMode),
    tunnelProtocol: tunnelProtocols.decode(`${path}.tunnel_protocol`, message.tunnelProtocol),
    nativeTunnel: message.nativeTunnel,
    ...(tunnel === undefined
      ? {}
      : {
          applicationTunnel: {
            protocol: applicationTunnels.decode(`${path}.application_tunnel.protocol`, tunnel.protocol),
            port: decodePort(`${path}.application_tunnel.port`, tunnel.port),
          },
        }),
    trustDomain: message.trustDomain || DEFAULTS.trustDomain,
    serviceAccount: message.serviceAccount || DEFAULTS.serviceAccount,
    clusterId: message.clusterId || DEFAULTS.clusterId,
    ...(message.waypoint === undefined ? {} : { waypoint: decodeGateway(`${path}.waypoint`, message.waypoint) }),
    ...(message.networkGateway === undefined
      ? {}
      : { networkGateway: decodeGateway(`${path}.network_gateway`, message.networkGateway) }),
    node: message.node,
    locality: {
      region: message.locality?.region ?? "",
      zone: message.locality?.zone ?? "",
      subzone: message.locality?.subzone ?? "",
    },
    canonicalName: message.canonicalName,
    canonicalRevision: message.canonicalRevision,
    workloadType: workloadTypes.decode(`${path}.workload_type`, message.workloadType),
    workloadName: message.workloadName,
    services: new Map(
      Object.entries(message.services).map(([key, list]) => [
        key as NamespacedHostname,
        new Map(
          list.ports.map((port, i) => {
            const at = `${path}.services[${key}].ports[${i}]`;
            return [decodePort(`${at}.service_port`, port.servicePort), decodePort(`${at}.target_port`, port.targetPort)];
          }),
        ),
      ]),
    ),
    authorizationPolicies: message.authorizationPolicies as PolicyKey[],
    status: statuses.decode(`${path}.status`, message.status),
    capacity: message.capacity ?? DEFAULTS.capacity,
  };
}

/** Defaults that the wire leaves out are left out; map entries are sorted, so that equal workloads give equal bytes. */
export function encodeWorkloadMessage(workload: Workload): WorkloadMessage {
  const { applicationTunnel, waypoint, networkGateway, locality } = workload;
  const hasLocality = locality.region !== "" || locality.zone !== "" || locality.subzone !== "";
  return create(WorkloadSchema, {
    uid: workload.uid,
    name: workload.name,
    namespace: workload.namespace,
    addresses: workload.addresses.map(ipToBytes),
    hostname: workload.hostname,
    network: workload.network,
    networkMode: networkModes.encode(workload.networkMode),
    tunnelProtocol: tunnelProtocols.encode(workload.tunnelProtocol),
    nativeTunnel: workload.nativeTunnel,
    ...(applicationTunnel === undefined
      ? {}
      : { applicationTunnel: { protocol: applicationTunnels.encode(applicationTunnel.protocol), port: applicationTunnel.port } }),
    trustDomain: workload.trustDomain === DEFAULTS.trustDomain ? "" : workload.trustDomain,
    serviceAccount: workload.serviceAccount === DEFAULTS.serviceAccount ? "" : workload.serviceAccount,
    clusterId: workload.clusterId,
    ...(waypoint === undefined ? {} : { waypoint: encodeGateway(waypoint) }),
    ...(networkGateway === undefined ? {} : { networkGateway: encodeGateway(networkGateway) }),
    node: workload.node,
    ...(hasLocality ? { locality } : {}),
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    workloadType: workloadTypes.encode(workload.workloadType),
    workloadName: workload.workloadName,
    services: Object.fromEntries(
      [...workload.services]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, ports]) => [key, { ports: [...ports].map(([servicePort, targetPort]) => ({ servicePort, targetPort })) }]),
    ),
    authorizationPolicies: [...workload.authorizationPolicies],
    status: statuses.encode(workload.status),
    ...(workload.capacity === DEFAULTS.capacity ? {} : { capacity: workload.capacity }),
  });
}
