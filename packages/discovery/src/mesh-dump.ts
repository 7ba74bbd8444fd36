// The mesh as /config_dump shows it. The shape is a compatibility surface: `istioctl ztunnel-config` reads it.
import {
  type Authorization,
  formatCidr,
  type GatewayAddress,
  type Match,
  type Service,
  type StringMatch,
  type Workload,
} from "@ambit/core";
import type { Endpoint } from "@ambit/decide";
import type { MeshState } from "./mesh-state.ts";
import { byText } from "./multi-index.ts";
import { keyOfService } from "./service-store.ts";

/** These four parts of /config_dump; JSON values only. */
export interface MeshDump {
  readonly workloads: readonly JsonObject[];
  readonly services: readonly JsonObject[];
  readonly policies: readonly JsonObject[];
  /** Endpoints whose service is not known, by service. */
  readonly stagedServices: JsonObject;
}

export interface JsonObject {
  readonly [key: string]: Json;
}
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;

/** How a value is spelt in the dump, and back. */
export const SPELLING = {
  protocol: { hbone: "HBONE", none: "TCP" },
  networkMode: { standard: "Standard", hostNetwork: "HostNetwork" },
  status: { healthy: "Healthy", unhealthy: "Unhealthy" },
  workloadType: { deployment: "deployment", cronjob: "cronjob", pod: "pod", job: "job" },
  tunnel: { none: "NONE", proxy: "PROXY" },
  visibility: { public: "Public", namespace: "Namespace" },
  ipFamilies: { automatic: "Automatic", ipv4Only: "IPv4", ipv6Only: "IPv6", dual: "Dual" },
  mode: { unspecified: "Standard", strict: "Strict", failover: "Failover", passthrough: "Passthrough" },
  health: { onlyHealthy: "OnlyHealthy", allowAll: "AllowAll" },
  scope: { region: "Region", zone: "Zone", subzone: "Subzone", node: "Node", cluster: "Cluster", network: "Network" },
  policyScope: { global: "Global", namespace: "Namespace", workloadSelector: "WorkloadSelector" },
  action: { allow: "Allow", deny: "Deny" },
  stringMatch: { exact: "Exact", prefix: "Prefix", suffix: "Suffix", presence: "Presence" },
} as const;

/** @source ztunnel src/state.rs ProxyState Serialize; istio istioctl/pkg/writer/ztunnel/configdump */
export function dumpMesh(state: MeshState): MeshDump {
  const services = state.services().toSorted(byText(keyOfService));
  const staged = [...state.stagedEndpoints()].sort(byText(([key]) => key));
  return {
    workloads: state
      .workloads()
      .toSorted(byText((workload) => workload.uid))
      .map(dumpWorkload),
    services: services.map((service) => dumpService(service, state.endpoints(keyOfService(service)))),
    policies: state
      .policies()
      .toSorted(byText((policy) => `${policy.namespace}/${policy.name}`))
      .map(dumpPolicy),
    stagedServices: Object.fromEntries(staged.map(([key, endpoints]) => [key, dumpEndpoints(endpoints)])),
  };
}

/** Keys are in alphabetical order; what has its default value is left out where the original leaves it out. */
function dumpWorkload(workload: Workload): JsonObject {
  const { applicationTunnel: tunnel, waypoint, networkGateway, locality } = workload;
  return {
    ...(tunnel === undefined ? {} : { applicationTunnel: { port: tunnel.port, protocol: SPELLING.tunnel[tunnel.protocol] } }),
    ...optional("authorizationPolicies", workload.authorizationPolicies),
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    capacity: workload.capacity,
    clusterId: workload.clusterId,
    ...optional("hostname", workload.hostname),
    ...optional("locality", dumpLocality(locality)),
    name: workload.name,
    namespace: workload.namespace,
    ...(workload.nativeTunnel ? { nativeTunnel: true } : {}),
    ...optional("network", workload.network),
    ...(networkGateway === undefined ? {} : { networkGateway: dumpGateway(networkGateway) }),
    networkMode: SPELLING.networkMode[workload.networkMode],
    node: workload.node,
    protocol: SPELLING.protocol[workload.tunnelProtocol],
    serviceAccount: workload.serviceAccount,
    status: SPELLING.status[workload.status],
    trustDomain: workload.trustDomain,
    uid: workload.uid,
    ...(waypoint === undefined ? {} : { waypoint: dumpGateway(waypoint) }),
    workloadIps: workload.addresses,
    workloadName: workload.workloadName,
    workloadType: SPELLING.workloadType[workload.workloadType],
  };
}

function dumpLocality({ region, zone, subzone }: Workload["locality"]): JsonObject {
  return { ...optional("region", region), ...optional("subzone", subzone), ...optional("zone", zone) };
}

function dumpService(service: Service, endpoints: readonly Endpoint[]): JsonObject {
  const { loadBalancing, waypoint, weightedWaypoints } = service;
  const appProtocols = service.ports.filter((port) => port.appProtocol !== "unknown");
  return {
    ...optional("appProtocols", Object.fromEntries(appProtocols.map((port) => [port.servicePort, port.appProtocol]))),
    canonical: service.canonical,
    endpoints: dumpEndpoints(endpoints),
    hostname: service.hostname,
    ...(service.ingressUseWaypoint ? { ingressUseWaypoint: true } : {}),
    ...(service.ipFamilies === "automatic" ? {} : { ipFamilies: SPELLING.ipFamilies[service.ipFamilies] }),
    ...(loadBalancing === undefined
      ? {}
      : {
          loadBalancer: {
            healthPolicy: SPELLING.health[loadBalancing.healthPolicy],
            mode: SPELLING.mode[loadBalancing.mode],
            routingPreferences: loadBalancing.routingPreference.map((scope) => SPELLING.scope[scope]),
          },
        }),
    name: service.name,
    namespace: service.namespace,
    ports: Object.fromEntries(service.ports.map((port) => [port.servicePort, port.targetPort])),
    subjectAltNames: service.subjectAltNames,
    vips: service.addresses.map(({ network, ip, length }) => `${network}/${ip}${length === undefined ? "" : `/${length}`}`),
    visibility: SPELLING.visibility[service.visibility],
    ...(waypoint === undefined ? {} : { waypoint: dumpGateway(waypoint) }),
    ...optional(
      "weightedWaypoints",
      weightedWaypoints.map(({ destination, weight }) => ({ ...dumpGateway(destination), weight })),
    ),
  };
}

function dumpEndpoints(endpoints: readonly Endpoint[]): JsonObject {
  return Object.fromEntries(
    endpoints.map(({ workload, ports }) => [
      workload.uid,
      { port: Object.fromEntries(ports), status: SPELLING.status[workload.status], workloadUid: workload.uid },
    ]),
  );
}

/** `namespace/hostname` or `network/address`: istioctl compares it with the entries of `vips`. */
function dumpGateway({ destination, hboneMtlsPort }: GatewayAddress): JsonObject {
  const text =
    destination.kind === "hostname"
      ? `${destination.namespace}/${destination.hostname}`
      : `${destination.address.network}/${destination.address.ip}`;
  return { destination: text, hboneMtlsPort };
}

function dumpPolicy(policy: Authorization): JsonObject {
  return {
    action: SPELLING.action[policy.action],
    dryRun: policy.dryRun,
    name: policy.name,
    namespace: policy.namespace,
    rules: policy.rules.map((rule) => rule.clauses.map((clause) => clause.matches.map(dumpMatch))),
    scope: SPELLING.policyScope[policy.scope],
  };
}

function dumpMatch(match: Match): JsonObject {
  return {
    ...optional("destinationIps", match.destinationIps.map(formatCidr)),
    ...optional("destinationPorts", match.destinationPorts),
    ...optional("namespaces", match.namespaces.map(dumpStringMatch)),
    ...optional("notDestinationIps", match.notDestinationIps.map(formatCidr)),
    ...optional("notDestinationPorts", match.notDestinationPorts),
    ...optional("notNamespaces", match.notNamespaces.map(dumpStringMatch)),
    ...optional("notPrincipals", match.notPrincipals.map(dumpStringMatch)),
    ...optional("notServiceAccounts", match.notServiceAccounts.map(dumpServiceAccount)),
    ...optional("notSourceIps", match.notSourceIps.map(formatCidr)),
    ...optional("principals", match.principals.map(dumpStringMatch)),
    ...optional("serviceAccounts", match.serviceAccounts.map(dumpServiceAccount)),
    ...optional("sourceIps", match.sourceIps.map(formatCidr)),
  };
}

function dumpServiceAccount({ namespace, serviceAccount }: Match["serviceAccounts"][number]): JsonObject {
  return { namespace, serviceAccount };
}

function dumpStringMatch(match: StringMatch): JsonObject {
  return { [SPELLING.stringMatch[match.kind]]: match.kind === "presence" ? [] : match.value };
}

/** The entry, unless it is empty. */
function optional(key: string, value: string | readonly Json[] | JsonObject): JsonObject {
  const size = typeof value === "string" || Array.isArray(value) ? value.length : Object.keys(value).length;
  return size === 0 ? {} : { [key]: value };
}
