// Workloads and services for tests: sensible defaults, and only what the test is about said aloud.
import {
  asSpiffeId,
  type GatewayAddress,
  INBOUND_HBONE_PORT,
  type IpAddress,
  type LoadBalancing,
  type Locality,
  type NamespacedHostname,
  namespacedHostname,
  type PolicyKey,
  parseCidr,
  parseIp,
  parseSocketAddress,
  type Service,
  type ServicePort,
  type SocketAddress,
  type SpiffeId,
  type TunnelProtocol,
  type Workload,
  type WorkloadUid,
} from "@ambit/core";

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

const DEFAULT_WORKLOAD: Workload = {
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

/** Every step gives a new builder, so that a half-built one may be shared. */
export class WorkloadBuilder {
  readonly #workload: Workload;

  constructor(workload: Workload = DEFAULT_WORKLOAD) {
    this.#workload = workload;
  }

  named(name: string): WorkloadBuilder {
    return this.with({ name });
  }

  /** The key; by default that of a pod with the name and namespace. */
  withUid(uid: string): WorkloadBuilder {
    return this.with({ uid: uid as WorkloadUid });
  }

  inNamespace(namespace: string): WorkloadBuilder {
    return this.with({ namespace });
  }

  onNode(node: string): WorkloadBuilder {
    return this.with({ node });
  }

  at(...addresses: string[]): WorkloadBuilder {
    return this.with({ addresses: addresses.map(ip) });
  }

  as(serviceAccount: string): WorkloadBuilder {
    return this.with({ serviceAccount });
  }

  inNetwork(network: string, networkGateway?: GatewayAddress): WorkloadBuilder {
    return this.with(networkGateway === undefined ? { network } : { network, networkGateway });
  }

  inLocality(region: string, zone = "", subzone = ""): WorkloadBuilder {
    const locality: Locality = { region, zone, subzone };
    return this.with({ locality });
  }

  speaking(tunnelProtocol: TunnelProtocol): WorkloadBuilder {
    return this.with({ tunnelProtocol });
  }

  behind(waypoint: GatewayAddress): WorkloadBuilder {
    return this.with({ waypoint });
  }

  unhealthy(): WorkloadBuilder {
    return this.with({ status: "unhealthy" });
  }

  /** An endpoint of `namespace/hostname`; `ports` maps service ports to target ports. */
  serving(service: string, ports: Readonly<Record<number, number>> = {}): WorkloadBuilder {
    const portMap = new Map(Object.entries(ports).map(([port, target]) => [Number(port), target]));
    return this.with({ services: new Map([...this.#workload.services, [service as NamespacedHostname, portMap]]) });
  }

  /** Selector policies by `namespace/name`. */
  underPolicies(...names: string[]): WorkloadBuilder {
    return this.with({ authorizationPolicies: names as PolicyKey[] });
  }

  with(fields: Partial<Workload>): WorkloadBuilder {
    return new WorkloadBuilder({ ...this.#workload, ...fields });
  }

  build(): Workload {
    const of = this.#workload;
    return {
      ...of,
      uid: of.uid || (`${of.clusterId}//Pod/${of.namespace}/${of.name}` as WorkloadUid),
      canonicalName: of.canonicalName || of.name,
      workloadName: of.workloadName || of.name,
    };
  }
}

const DEFAULT_SERVICE: Service = {
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

/** Every step gives a new builder, so that a half-built one may be shared. */
export class ServiceBuilder {
  readonly #service: Service;

  constructor(service: Service = DEFAULT_SERVICE) {
    this.#service = service;
  }

  named(name: string): ServiceBuilder {
    return this.with({ name });
  }

  inNamespace(namespace: string): ServiceBuilder {
    return this.with({ namespace });
  }

  /** By default `<name>.<namespace>.svc.cluster.local`. */
  withHostname(hostname: string): ServiceBuilder {
    return this.with({ hostname });
  }

  /** Virtual addresses: `10.0.0.1`, or a block `10.0.0.0/24`; in the default network unless it is given as `net1@10.0.0.1`. */
  at(...addresses: string[]): ServiceBuilder {
    return this.with({ addresses: addresses.map(serviceAddress) });
  }

  /** Service port to target port; 0 when the port is named. */
  onPorts(ports: Readonly<Record<number, number>>): ServiceBuilder {
    const list = Object.entries(ports).map(
      ([port, targetPort]): ServicePort => ({ servicePort: Number(port), targetPort, appProtocol: "unknown" }),
    );
    return this.with({ ports: list });
  }

  behind(waypoint: GatewayAddress): ServiceBuilder {
    return this.with({ waypoint });
  }

  balanced(mode: LoadBalancing["mode"], ...routingPreference: LoadBalancing["routingPreference"]): ServiceBuilder {
    return this.with({ loadBalancing: { mode, routingPreference, healthPolicy: "onlyHealthy" } });
  }

  with(fields: Partial<Service>): ServiceBuilder {
    return new ServiceBuilder({ ...this.#service, ...fields });
  }

  build(): Service {
    const { name, namespace, hostname } = this.#service;
    return { ...this.#service, hostname: hostname || `${name}.${namespace}.svc.cluster.local` };
  }
}

function serviceAddress(text: string): Service["addresses"][number] {
  const networked = /^([^@]*)@(.*)$/.exec(text);
  const network = networked?.[1] ?? "";
  const address = networked?.[2] ?? text;
  if (!address.includes("/")) return { network, ip: ip(address) };
  const block = parseCidr(address);
  if (block === undefined) throw new RangeError(`Not an address block: ${address}`);
  return { network, ip: block.address, length: block.length };
}

export function workload(): WorkloadBuilder {
  return new WorkloadBuilder();
}

export function service(): ServiceBuilder {
  return new ServiceBuilder();
}

export function keyOfService(of: Service): NamespacedHostname {
  return namespacedHostname(of.namespace, of.hostname);
}
