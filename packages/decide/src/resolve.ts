// From a destination address to the workload that will take the connection, and to the waypoints and gateways before it.
import {
  type GatewayAddress,
  type IpAddress,
  identityOf,
  ipFamily,
  type NamespacedHostname,
  type NetworkId,
  namespacedHostname,
  type Service,
  type SocketAddress,
  type SpiffeId,
  type Workload,
} from "@ambit/core";
import { chooseEndpoint, drawIndex, type ResolutionMode } from "./balance.ts";
import { serviceByAddress } from "./hostnames.ts";
import type { MeshView } from "./mesh-view.ts";

/** A workload chosen to take a connection, and the service through which it was found. */
export interface Upstream {
  readonly workload: Workload;
  /** The port on the workload. */
  readonly port: number;
  readonly service: Service | undefined;
}

export type UpstreamResult =
  | { readonly kind: "upstream"; readonly upstream: Upstream }
  /** The service asks to be left alone: the original address is dialled. */
  | { readonly kind: "passthrough"; readonly service: Service }
  /** The service is known and nothing behind it can take this port. */
  | { readonly kind: "noEndpoint"; readonly service: Service }
  /** No service and no workload has the address. */
  | { readonly kind: "unknown" };

/** What resolution needs beside the address: who asks, and chance. */
export interface Resolver {
  readonly view: MeshView;
  readonly source: Workload;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** What an address is: workloads win over virtual addresses. */
export type AddressOwner =
  | { readonly kind: "workload"; readonly workload: Workload }
  | { readonly kind: "service"; readonly service: Service };

/** @source ztunnel src/state.rs find_address */
export function findAddress(view: MeshView, network: NetworkId, ip: IpAddress, namespace: string): AddressOwner | undefined {
  const workload = view.workloadByAddress(network, ip);
  if (workload !== undefined) return { kind: "workload", workload };
  const service = serviceByAddress(view, network, ip, namespace);
  return service === undefined ? undefined : { kind: "service", service };
}

/** The upstream for an address: virtual addresses win over workloads. @source ztunnel src/state.rs find_upstream */
export function findUpstream(
  resolver: Resolver,
  network: NetworkId,
  destination: SocketAddress,
  mode: ResolutionMode = "standard",
): UpstreamResult {
  const { view, source } = resolver;
  const service = serviceByAddress(view, network, destination.ip, source.namespace);
  if (service !== undefined) return upstreamOfService(resolver, service, destination.port, mode);
  const workload = view.workloadByAddress(network, destination.ip);
  if (workload === undefined) return { kind: "unknown" };
  return { kind: "upstream", upstream: { workload, port: destination.port, service: undefined } };
}

function upstreamOfService(resolver: Resolver, service: Service, servicePort: number, mode: ResolutionMode): UpstreamResult {
  if (mode === "standard" && service.loadBalancing?.mode === "passthrough") return { kind: "passthrough", service };
  const { view, source, random } = resolver;
  const choice = chooseEndpoint(view.endpoints(keyOf(service)), { service, servicePort, source, mode, random });
  if (choice === undefined) return { kind: "noEndpoint", service };
  return { kind: "upstream", upstream: { workload: choice.workload, port: choice.targetPort, service } };
}

/** The waypoint that this connection to the service takes: a draw among the weighted ones, else the only one. */
export function waypointOfService(service: Service, random: () => number): GatewayAddress | undefined {
  const index = drawIndex(service.weightedWaypoints, (waypoint) => waypoint.weight, random);
  return service.weightedWaypoints[index]?.destination ?? service.waypoint;
}

/**
 * The instance behind a waypoint or gateway reference; undefined when it cannot be resolved.
 * @source ztunnel src/state.rs fetch_waypoint, fetch_network_gateway
 */
export function resolveGateway(resolver: Resolver, gateway: GatewayAddress): Upstream | undefined {
  const { view } = resolver;
  const { destination, hboneMtlsPort: port } = gateway;
  if (destination.kind === "address") {
    const { network, ip } = destination.address;
    return upstreamIn(findUpstream(resolver, network, { ip, port }, "waypoint"));
  }
  const service = view.service(namespacedHostname(destination.namespace, destination.hostname));
  if (service !== undefined) return upstreamIn(upstreamOfService(resolver, service, port, "waypoint"));
  const workload = view.workloadByHostname(destination.namespace, destination.hostname);
  return workload === undefined ? undefined : { workload, port, service: undefined };
}

function upstreamIn(result: UpstreamResult): Upstream | undefined {
  return result.kind === "upstream" ? result.upstream : undefined;
}

/** "namespace/hostname" or "network/address", for messages. */
export function describeGateway(gateway: GatewayAddress): string {
  const { destination } = gateway;
  if (destination.kind === "hostname") return `${destination.namespace}/${destination.hostname}`;
  return `${destination.address.network}/${destination.address.ip}`;
}

/**
 * Whether `workload` is one of the instances that the reference stands for.
 * @source ztunnel src/proxy.rs check_gateway_address
 */
export function isGatewayInstance(
  view: MeshView,
  gateway: GatewayAddress,
  isInstance: (workload: Workload) => boolean,
  namespace: string,
): boolean {
  const { destination } = gateway;
  if (destination.kind === "address") {
    const owner = findAddress(view, destination.address.network, destination.address.ip, namespace);
    if (owner === undefined) return false;
    return owner.kind === "workload" ? isInstance(owner.workload) : anyEndpoint(view, owner.service, isInstance);
  }
  const service = view.service(namespacedHostname(destination.namespace, destination.hostname));
  if (service !== undefined) return anyEndpoint(view, service, isInstance);
  const workload = view.workloadByHostname(destination.namespace, destination.hostname);
  return workload !== undefined && isInstance(workload);
}

function anyEndpoint(view: MeshView, service: Service, predicate: (workload: Workload) => boolean): boolean {
  return view.endpoints(keyOf(service)).some((endpoint) => predicate(endpoint.workload));
}

/** Where a workload is dialled: one of its addresses, or a name that has to be resolved first. */
export type WorkloadHost =
  | { readonly kind: "address"; readonly ip: IpAddress }
  | { readonly kind: "hostname"; readonly hostname: string; readonly families: readonly (4 | 6)[]; readonly preferred: 4 | 6 };

/**
 * The address of the upstream to dial: the one asked for when the workload has it, else one the service's families allow,
 * preferably of the family that was asked for.
 * @source ztunnel src/state.rs pick_workload_destination_or_resolve
 */
export function pickHost(upstream: Upstream, wanted: IpAddress): WorkloadHost | undefined {
  const { workload, service } = upstream;
  if (workload.addresses.includes(wanted)) return { kind: "address", ip: wanted };
  const families = familiesOf(service);
  const allowed = workload.addresses.filter((ip) => families.includes(ipFamily(ip)));
  const ip = allowed.find((candidate) => ipFamily(candidate) === ipFamily(wanted)) ?? allowed[0];
  if (ip !== undefined) return { kind: "address", ip };
  if (workload.addresses.length > 0 || workload.hostname === "") return undefined;
  return { kind: "hostname", hostname: workload.hostname, families, preferred: ipFamily(wanted) };
}

function familiesOf(service: Service | undefined): readonly (4 | 6)[] {
  if (service?.ipFamilies === "ipv4Only") return [4];
  if (service?.ipFamilies === "ipv6Only") return [6];
  return [4, 6];
}

/** Identities the peer may prove: those of the service, and the chosen workload's own. */
export function expectedIdentities({ workload, service }: Upstream): readonly SpiffeId[] {
  const own = identityOf(workload);
  const ofService = service?.subjectAltNames ?? [];
  return ofService.includes(own) ? ofService : [...ofService, own];
}

export function keyOf(service: Service): NamespacedHostname {
  return namespacedHostname(service.namespace, service.hostname);
}
