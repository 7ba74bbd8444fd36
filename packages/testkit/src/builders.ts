// Workloads, services and policies for tests: sensible defaults, and only what the test is about said aloud.
import {
  type Authorization,
  asSpiffeId,
  type Clause,
  type GatewayAddress,
  INBOUND_HBONE_PORT,
  type IpAddress,
  type LoadBalancing,
  type Locality,
  type Match,
  type NamespacedHostname,
  namespacedHostname,
  type PolicyKey,
  type PortMap,
  parseCidr,
  parseIp,
  parseSocketAddress,
  policyKey,
  type Rule,
  type Service,
  type ServicePort,
  type SocketAddress,
  type SpiffeId,
  type StringMatch,
  type TunnelProtocol,
  type Workload,
  type WorkloadUid,
} from "@ambit/core";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** @throws RangeError when the text is no address */
export function ip(text: string): IpAddress {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new RangeError(`Not an IP address: ${text}`);
  return parsed;
}

/** `1.2.3.4:80` or `[::1]:80`. @throws RangeError otherwise */
export function socketAddress(text: string): SocketAddress {
  const parsed = parseSocketAddress(text);
  if (parsed === undefined) throw new RangeError(`Not a socket address: ${text}`);
  return parsed;
}

/** `spiffe://cluster.local/ns/<namespace>/sa/<service account>`. */
export function identity(namespace: string, serviceAccount: string, trustDomain = "cluster.local"): SpiffeId {
  const id = asSpiffeId(`spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`);
  if (id === undefined) throw new RangeError(`Not an identity: ${trustDomain}, ${namespace}, ${serviceAccount}`);
  return id;
}

/** A reference to a waypoint or gateway: `namespace/hostname`, or `network/address` (network may be empty). */
export function gateway(reference: string, hboneMtlsPort: number = INBOUND_HBONE_PORT): GatewayAddress {
  const slash = reference.indexOf("/");
  const [left, right] = [reference.slice(0, slash), reference.slice(slash + 1)];
  const address = parseIp(right);
  return address === undefined
    ? { destination: { kind: "hostname", namespace: left, hostname: right }, hboneMtlsPort }
    : { destination: { kind: "address", address: { network: left, ip: address } }, hboneMtlsPort };
}

export class WorkloadBuilder {
  readonly #workload: Mutable<Workload> & { services: Map<NamespacedHostname, PortMap> };
  #uid: string | undefined;

  constructor() {
    this.#workload = {
      uid: "" as WorkloadUid,
      name: "app",
      namespace: "default",
      addresses: [],
      hostname: "",
      network: "",
      networkMode: "standard",
      tunnelProtocol: "hbone",
      nativeTunnel: false,
      trustDomain: "cluster.local",
      serviceAccount: "default",
      clusterId: "Kubernetes",
      node: "",
      locality: { region: "", zone: "", subzone: "" },
      canonicalName: "",
      canonicalRevision: "latest",
      workloadType: "pod",
      workloadName: "",
      services: new Map(),
      authorizationPolicies: [],
      status: "healthy",
      capacity: 1,
    };
  }

  named(name: string): this {
    return this.with({ name });
  }

  /** The key; by default that of a pod with the name and namespace. */
  withUid(uid: string): this {
    this.#uid = uid;
    return this;
  }

  inNamespace(namespace: string): this {
    return this.with({ namespace });
  }

  onNode(node: string): this {
    return this.with({ node });
  }

  at(...addresses: string[]): this {
    return this.with({ addresses: addresses.map(ip) });
  }

  as(serviceAccount: string): this {
    return this.with({ serviceAccount });
  }

  inNetwork(network: string, networkGateway?: GatewayAddress): this {
    return this.with(networkGateway === undefined ? { network } : { network, networkGateway });
  }

  inLocality(region: string, zone = "", subzone = ""): this {
    const locality: Locality = { region, zone, subzone };
    return this.with({ locality });
  }

  speaking(tunnelProtocol: TunnelProtocol): this {
    return this.with({ tunnelProtocol });
  }

  behind(waypoint: GatewayAddress): this {
    return this.with({ waypoint });
  }

  unhealthy(): this {
    return this.with({ status: "unhealthy" });
  }

  /** An endpoint of `namespace/hostname`; `ports` maps service ports to target ports. */
  serving(service: string, ports: Readonly<Record<number, number>> = {}): this {
    const portMap = new Map(Object.entries(ports).map(([port, target]) => [Number(port), target]));
    this.#workload.services.set(service as NamespacedHostname, portMap);
    return this;
  }

  /** Selector policies by `namespace/name`. */
  underPolicies(...names: string[]): this {
    return this.with({ authorizationPolicies: names as PolicyKey[] });
  }

  with(fields: Partial<Workload>): this {
    Object.assign(this.#workload, fields);
    return this;
  }

  build(): Workload {
    const workload = { ...this.#workload, services: new Map(this.#workload.services) };
    workload.uid = (this.#uid ?? `${workload.clusterId}//Pod/${workload.namespace}/${workload.name}`) as WorkloadUid;
    workload.canonicalName ||= workload.name;
    workload.workloadName ||= workload.name;
    return workload;
  }
}

export class ServiceBuilder {
  readonly #service: Mutable<Service>;
  #hostname: string | undefined;

  constructor() {
    this.#service = {
      name: "app",
      namespace: "default",
      hostname: "",
      addresses: [],
      ports: [],
      subjectAltNames: [],
      weightedWaypoints: [],
      ingressUseWaypoint: false,
      ipFamilies: "automatic",
      canonical: true,
      visibility: "public",
    };
  }

  named(name: string): this {
    return this.with({ name });
  }

  inNamespace(namespace: string): this {
    return this.with({ namespace });
  }

  /** By default `<name>.<namespace>.svc.cluster.local`. */
  withHostname(hostname: string): this {
    this.#hostname = hostname;
    return this;
  }

  /** Virtual addresses: `10.0.0.1`, or a block `10.0.0.0/24`; in the default network unless it is given as `net1:10.0.0.1`. */
  at(...addresses: string[]): this {
    return this.with({ addresses: addresses.map(serviceAddress) });
  }

  /** Service port to target port; 0 when the port is named. */
  onPorts(ports: Readonly<Record<number, number>>): this {
    const list = Object.entries(ports).map(
      ([port, targetPort]): ServicePort => ({ servicePort: Number(port), targetPort, appProtocol: "unknown" }),
    );
    return this.with({ ports: list });
  }

  behind(waypoint: GatewayAddress): this {
    return this.with({ waypoint });
  }

  balanced(mode: LoadBalancing["mode"], ...routingPreference: LoadBalancing["routingPreference"]): this {
    return this.with({ loadBalancing: { mode, routingPreference, healthPolicy: "onlyHealthy" } });
  }

  with(fields: Partial<Service>): this {
    Object.assign(this.#service, fields);
    return this;
  }

  build(): Service {
    const { name, namespace } = this.#service;
    return { ...this.#service, hostname: this.#hostname ?? `${name}.${namespace}.svc.cluster.local` };
  }
}

function serviceAddress(text: string): Service["addresses"][number] {
  const networked = /^([a-z][a-z0-9-]*):(.*)$/.exec(text);
  const network = networked?.[1] ?? "";
  const address = networked?.[2] ?? text;
  if (!address.includes("/")) return { network, ip: ip(address) };
  const block = parseCidr(address);
  if (block === undefined) throw new RangeError(`Not an address block: ${address}`);
  return { network, ip: block.address, length: block.length };
}

/** A match by its text forms: strings as in AuthorizationPolicy (`x`, `x*`, `*x`, `*`), addresses as blocks. */
export interface MatchText {
  readonly namespaces?: readonly string[];
  readonly notNamespaces?: readonly string[];
  readonly principals?: readonly string[];
  readonly notPrincipals?: readonly string[];
  /** `namespace/service account`. */
  readonly serviceAccounts?: readonly string[];
  readonly notServiceAccounts?: readonly string[];
  readonly sourceIps?: readonly string[];
  readonly notSourceIps?: readonly string[];
  readonly destinationIps?: readonly string[];
  readonly notDestinationIps?: readonly string[];
  readonly destinationPorts?: readonly number[];
  readonly notDestinationPorts?: readonly number[];
}

export function match(text: MatchText): Match {
  return {
    namespaces: (text.namespaces ?? []).map(stringMatch),
    notNamespaces: (text.notNamespaces ?? []).map(stringMatch),
    principals: (text.principals ?? []).map(stringMatch),
    notPrincipals: (text.notPrincipals ?? []).map(stringMatch),
    serviceAccounts: (text.serviceAccounts ?? []).map(serviceAccount),
    notServiceAccounts: (text.notServiceAccounts ?? []).map(serviceAccount),
    sourceIps: (text.sourceIps ?? []).map(cidr),
    notSourceIps: (text.notSourceIps ?? []).map(cidr),
    destinationIps: (text.destinationIps ?? []).map(cidr),
    notDestinationIps: (text.notDestinationIps ?? []).map(cidr),
    destinationPorts: text.destinationPorts ?? [],
    notDestinationPorts: text.notDestinationPorts ?? [],
  };
}

/** One clause: any of the matches. */
export function clause(...matches: MatchText[]): Clause {
  return { matches: matches.map(match) };
}

function stringMatch(text: string): StringMatch {
  if (text === "*") return { kind: "presence" };
  if (text.endsWith("*")) return { kind: "prefix", value: text.slice(0, -1) };
  if (text.startsWith("*")) return { kind: "suffix", value: text.slice(1) };
  return { kind: "exact", value: text };
}

function serviceAccount(text: string): Match["serviceAccounts"][number] {
  const [namespace = "", name = ""] = text.split("/");
  return { namespace, serviceAccount: name };
}

function cidr(text: string): Match["sourceIps"][number] {
  const block = parseCidr(text);
  if (block === undefined) throw new RangeError(`Not an address block: ${text}`);
  return block;
}

export class AuthorizationBuilder {
  readonly #policy: Mutable<Authorization> & { rules: Rule[] };

  constructor() {
    this.#policy = { name: "policy", namespace: "default", scope: "namespace", action: "allow", dryRun: false, rules: [] };
  }

  named(name: string): this {
    return this.with({ name });
  }

  inNamespace(namespace: string): this {
    return this.with({ namespace });
  }

  allowing(): this {
    return this.with({ action: "allow" });
  }

  denying(): this {
    return this.with({ action: "deny" });
  }

  forWholeMesh(): this {
    return this.with({ scope: "global" });
  }

  forSelector(): this {
    return this.with({ scope: "workloadSelector" });
  }

  asDryRun(): this {
    return this.with({ dryRun: true });
  }

  /** One rule of these clauses; all must hold. */
  rule(...clauses: (Clause | MatchText)[]): this {
    this.#policy.rules.push({ clauses: clauses.map((part) => ("matches" in part ? part : clause(part))) });
    return this;
  }

  with(fields: Partial<Authorization>): this {
    Object.assign(this.#policy, fields);
    return this;
  }

  build(): Authorization {
    return { ...this.#policy, rules: [...this.#policy.rules] };
  }
}

export function workload(): WorkloadBuilder {
  return new WorkloadBuilder();
}

export function service(): ServiceBuilder {
  return new ServiceBuilder();
}

export function authorization(): AuthorizationBuilder {
  return new AuthorizationBuilder();
}

export function keyOfService(of: Service): NamespacedHostname {
  return namespacedHostname(of.namespace, of.hostname);
}

export function keyOfPolicy(of: Authorization): PolicyKey {
  return policyKey(of.namespace, of.name);
}
