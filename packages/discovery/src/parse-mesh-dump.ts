// The mesh read back from a /config_dump, ours or a Rust ztunnel's.
import {
  type Authorization,
  asSpiffeId,
  type Cidr,
  type GatewayAddress,
  type Match,
  type NamespacedHostname,
  namespacedHostname,
  type PolicyKey,
  type PortMap,
  parseCidr,
  parseIp,
  policyKey,
  type Service,
  type StringMatch,
  type Workload,
  type WorkloadUid,
} from "@ambit/core";
import { JsonReader } from "./json-reader.ts";
import { SPELLING } from "./mesh-dump.ts";
import { MeshState } from "./mesh-state.ts";

type ServicesOfWorkload = Map<NamespacedHostname, PortMap>;

/** @throws DISCOVERY_DUMP_INVALID with the path of the first value that makes no sense; retry "no" */
export function parseMeshDump(json: unknown): MeshState {
  const dump = new JsonReader(json);
  const served = new Map<string, ServicesOfWorkload>();
  const services = dump
    .get("services")
    .elements()
    .map((reader) => readService(reader, served));
  for (const [key, endpoints] of dump.get("stagedServices").entries())
    readEndpoints(endpoints, key as NamespacedHostname, served);
  const workloads = dump
    .get("workloads")
    .elements()
    .map((reader) => readWorkload(reader, served));
  const policies = dump.get("policies").elements().map(readPolicy);
  const state = new MeshState();
  state.apply({
    addresses: {
      upserts: [
        ...workloads.map((workload) => ({ name: workload.uid, resource: { kind: "workload", workload } as const })),
        ...services.map((service) => ({
          name: namespacedHostname(service.namespace, service.hostname),
          resource: { kind: "service", service } as const,
        })),
      ],
      removals: [],
    },
    authorizations: {
      upserts: policies.map((policy) => ({ name: policyKey(policy.namespace, policy.name), resource: policy })),
      removals: [],
    },
  });
  return state;
}

/** In the dump endpoints stand under their service; a workload knows its services by them. */
function readEndpoints(endpoints: JsonReader, service: NamespacedHostname, served: Map<string, ServicesOfWorkload>): void {
  for (const [, endpoint] of endpoints.entries()) {
    const uid = endpoint.get("workloadUid").string();
    const ofWorkload = served.get(uid) ?? new Map<NamespacedHostname, PortMap>();
    ofWorkload.set(service, readPorts(endpoint.get("port")));
    served.set(uid, ofWorkload);
  }
}

function readPorts(ports: JsonReader): Map<number, number> {
  return new Map(ports.entries().map(([port, target]) => [readPort(port, target), target.number()]));
}

function readPort(text: string, at: JsonReader): number {
  const port = Number(text);
  return Number.isInteger(port) && port > 0 && port <= 65535 ? port : at.fail("under a port number");
}

function readWorkload(reader: JsonReader, served: ReadonlyMap<string, ServicesOfWorkload>): Workload {
  const uid = reader.get("uid").string();
  const [waypoint, networkGateway, tunnel] = [
    reader.get("waypoint"),
    reader.get("networkGateway"),
    reader.get("applicationTunnel"),
  ];
  const locality = reader.get("locality").isAbsent ? new JsonReader({}) : reader.get("locality");
  return {
    uid: uid as WorkloadUid,
    name: reader.get("name").string(),
    namespace: reader.get("namespace").string(),
    addresses: reader
      .get("workloadIps")
      .elements()
      .map((ip) => ip.ip()),
    hostname: reader.get("hostname").string(""),
    network: reader.get("network").string(""),
    networkMode: reader.get("networkMode").oneOf(SPELLING.networkMode, "standard"),
    tunnelProtocol: reader.get("protocol").oneOf(SPELLING.protocol, "none"),
    nativeTunnel: reader.get("nativeTunnel").boolean(false),
    ...(tunnel.isAbsent ? {} : { applicationTunnel: readTunnel(tunnel) }),
    trustDomain: reader.get("trustDomain").string("cluster.local"),
    serviceAccount: reader.get("serviceAccount").string("default"),
    clusterId: reader.get("clusterId").string("Kubernetes"),
    ...(waypoint.isAbsent ? {} : { waypoint: readGateway(waypoint) }),
    ...(networkGateway.isAbsent ? {} : { networkGateway: readGateway(networkGateway) }),
    node: reader.get("node").string(""),
    locality: {
      region: locality.get("region").string(""),
      zone: locality.get("zone").string(""),
      subzone: locality.get("subzone").string(""),
    },
    canonicalName: reader.get("canonicalName").string(""),
    canonicalRevision: reader.get("canonicalRevision").string(""),
    workloadType: reader.get("workloadType").oneOf(SPELLING.workloadType, "deployment"),
    workloadName: reader.get("workloadName").string(""),
    services: served.get(uid) ?? new Map(),
    authorizationPolicies: reader
      .get("authorizationPolicies")
      .elements()
      .map((name) => name.string() as PolicyKey),
    status: reader.get("status").oneOf(SPELLING.status, "healthy"),
    capacity: reader.get("capacity").number(1),
  };
}

function readTunnel(reader: JsonReader): NonNullable<Workload["applicationTunnel"]> {
  return { protocol: reader.get("protocol").oneOf(SPELLING.tunnel, "none"), port: reader.get("port").number(0) };
}

function readGateway(reader: JsonReader): GatewayAddress {
  const destination = reader.get("destination");
  const text = destination.string();
  const slash = text.indexOf("/");
  if (slash < 0) destination.fail("namespace/hostname or network/address");
  const [left, right] = [text.slice(0, slash), text.slice(slash + 1)];
  const ip = parseIp(right);
  const hboneMtlsPort = reader.get("hboneMtlsPort").number();
  return ip === undefined
    ? { destination: { kind: "hostname", namespace: left, hostname: right }, hboneMtlsPort }
    : { destination: { kind: "address", address: { network: left, ip } }, hboneMtlsPort };
}

function readService(reader: JsonReader, served: Map<string, ServicesOfWorkload>): Service {
  const [namespace, hostname] = [reader.get("namespace").string(), reader.get("hostname").string()];
  readEndpoints(reader.get("endpoints"), namespacedHostname(namespace, hostname), served);
  const appProtocols = new Map(reader.get("appProtocols").entries());
  const [waypoint, balancer] = [reader.get("waypoint"), reader.get("loadBalancer")];
  return {
    name: reader.get("name").string(),
    namespace,
    hostname,
    addresses: reader.get("vips").elements().map(readServiceAddress),
    ports: reader
      .get("ports")
      .entries()
      .map(([port, target]) => ({
        servicePort: readPort(port, target),
        targetPort: target.number(),
        appProtocol: (appProtocols.get(port) ?? new JsonReader(undefined)).oneOf(APP_PROTOCOLS, "unknown"),
      })),
    subjectAltNames: reader
      .get("subjectAltNames")
      .elements()
      .map((san) => asSpiffeId(san.string()) ?? san.fail("a SPIFFE ID")),
    ...(waypoint.isAbsent ? {} : { waypoint: readGateway(waypoint) }),
    weightedWaypoints: reader
      .get("weightedWaypoints")
      .elements()
      .map((weighted) => ({ destination: readGateway(weighted), weight: weighted.get("weight").number() })),
    ingressUseWaypoint: reader.get("ingressUseWaypoint").boolean(false),
    ...(balancer.isAbsent ? {} : { loadBalancing: readBalancing(balancer) }),
    ipFamilies: reader.get("ipFamilies").oneOf(SPELLING.ipFamilies, "automatic"),
    canonical: reader.get("canonical").boolean(false),
    visibility: reader.get("visibility").oneOf(SPELLING.visibility, "public"),
  };
}

const APP_PROTOCOLS = { unknown: "unknown", http11: "http11", http2: "http2", grpc: "grpc", tcp: "tcp", tls: "tls" } as const;

function readBalancing(reader: JsonReader): NonNullable<Service["loadBalancing"]> {
  return {
    routingPreference: reader
      .get("routingPreferences")
      .elements()
      .map((scope) => scope.oneOf(SPELLING.scope)),
    mode: reader.get("mode").oneOf(SPELLING.mode, "unspecified"),
    healthPolicy: reader.get("healthPolicy").oneOf(SPELLING.health, "onlyHealthy"),
  };
}

/** `network/address` or `network/address/length`. */
function readServiceAddress(reader: JsonReader): Service["addresses"][number] {
  const [network, address = "", length, ...rest] = reader.string().split("/");
  const ip = parseIp(address);
  if (network === undefined || ip === undefined || rest.length > 0) return reader.fail("network/address, perhaps with /length");
  if (length === undefined) return { network, ip };
  return parseCidr(`${address}/${length}`) === undefined
    ? reader.fail("a block of addresses")
    : { network, ip, length: Number(length) };
}

function readPolicy(reader: JsonReader): Authorization {
  return {
    name: reader.get("name").string(),
    namespace: reader.get("namespace").string(),
    scope: reader.get("scope").oneOf(SPELLING.policyScope),
    action: reader.get("action").oneOf(SPELLING.action),
    dryRun: reader.get("dryRun").boolean(false),
    rules: reader
      .get("rules")
      .elements()
      .map((rule) => ({
        clauses: rule.elements().map((clause) => ({ matches: clause.elements().map(readMatch) })),
      })),
  };
}

function readMatch(reader: JsonReader): Match {
  const strings = (key: string) => reader.get(key).elements().map(readStringMatch);
  const blocks = (key: string) => reader.get(key).elements().map(readBlock);
  const ports = (key: string) =>
    reader
      .get(key)
      .elements()
      .map((port) => port.number());
  const accounts = (key: string) =>
    reader
      .get(key)
      .elements()
      .map((account) => ({
        namespace: account.get("namespace").string(),
        serviceAccount: account.get("serviceAccount").string(),
      }));
  return {
    namespaces: strings("namespaces"),
    notNamespaces: strings("notNamespaces"),
    principals: strings("principals"),
    notPrincipals: strings("notPrincipals"),
    serviceAccounts: accounts("serviceAccounts"),
    notServiceAccounts: accounts("notServiceAccounts"),
    sourceIps: blocks("sourceIps"),
    notSourceIps: blocks("notSourceIps"),
    destinationIps: blocks("destinationIps"),
    notDestinationIps: blocks("notDestinationIps"),
    destinationPorts: ports("destinationPorts"),
    notDestinationPorts: ports("notDestinationPorts"),
  };
}

function readBlock(reader: JsonReader): Cidr {
  return parseCidr(reader.string()) ?? reader.fail("a block of addresses");
}

function readStringMatch(reader: JsonReader): StringMatch {
  const [entry, ...rest] = reader.entries();
  if (entry === undefined || rest.length > 0) return reader.fail("one string match");
  const [kind, value] = entry;
  const known = new JsonReader(kind).oneOf(SPELLING.stringMatch);
  return known === "presence" ? { kind: known } : { kind: known, value: value.string() };
}
