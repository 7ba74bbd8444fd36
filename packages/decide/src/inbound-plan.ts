// What becomes of a connection that reached a pod: its destination, or why not.
import {
  formatSocketAddress,
  type IpAddress,
  ipFamily,
  type NetworkId,
  parseSocketAddress,
  type Service,
  type SocketAddress,
  type Workload,
} from "@ambit/core";
import type { DecideCode } from "./errors.ts";
import { serviceByHostname } from "./hostnames.ts";
import type { MeshView } from "./mesh-view.ts";
import { RESERVED_PORTS } from "./reserved-ports.ts";
import { isGatewayInstance, keyOf } from "./resolve.ts";

/** A CONNECT request that arrived on 15008. */
export interface InboundFacts {
  readonly method: string;
  readonly authority: string;
  /** The pod that owns the listener; undefined while discovery does not know it. */
  readonly local: Workload | undefined;
  /** The pod's address that the tunnel connection was made to. */
  readonly localIp: IpAddress;
  /** `host=` of the Forwarded header. */
  readonly forwardedHost?: string;
}

/** What the tunnel asks for. */
export type TunnelTarget =
  | { readonly kind: "address"; readonly address: SocketAddress }
  | { readonly kind: "hostname"; readonly hostname: string; readonly port: number };

export interface DeliverPlan {
  readonly kind: "deliver";
  readonly local: Workload;
  /** Pod address and real target port: authorization judges it, and it is dialled unless `applicationTunnel` says otherwise. */
  readonly destination: SocketAddress;
  /** The workload's own proxy takes the connection. `proxyDestination`: announced to it in a PROXY v2 header. */
  readonly applicationTunnel?: { readonly proxyDestination?: SocketAddress };
  /** For metrics and the access line. */
  readonly service?: Service;
}

export interface RefusePlan {
  readonly kind: "refuse";
  readonly status: 400 | 503;
  readonly code: DecideCode;
  readonly reason: string;
}

export type InboundPlan = DeliverPlan | RefusePlan;

/**
 * Chooses the destination of a tunnel. Authorization comes after it, with `destination`.
 * @source ztunnel src/proxy/inbound.rs build_inbound_request, validate_destination, find_inbound_upstream
 */
export function planInbound(view: MeshView, facts: InboundFacts): InboundPlan {
  const { method, authority, local, localIp } = facts;
  if (method !== "CONNECT") return refuse(400, "DECIDE_METHOD_UNSUPPORTED", `method ${method} is not CONNECT`);
  const target = parseAuthority(authority);
  if (target === undefined) return refuse(400, "DECIDE_AUTHORITY_INVALID", `authority is not host:port: ${authority}`);
  if (local === undefined) return refuse(503, "DECIDE_WORKLOAD_UNKNOWN", `no workload is known for ${localIp}`);
  if (target.kind === "address" && !accepts(view, local, localIp, target.address.ip)) {
    return refuse(400, "DECIDE_AUTHORITY_MISMATCH", `ip mismatch: ${localIp} != ${target.address.ip}`);
  }
  return target.kind === "address"
    ? deliver(view, facts, local, target, target.address.port, undefined)
    : deliverByHostname(view, facts, local, target);
}

/** `1.2.3.4:80`, `[::1]:80` or `host:80`; undefined when it is none of them. */
export function parseAuthority(authority: string): TunnelTarget | undefined {
  const address = parseSocketAddress(authority);
  if (address !== undefined) return address.port === 0 ? undefined : { kind: "address", address };
  const match = /^([A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?):(\d{1,5})$/.exec(authority);
  const hostname = match?.[1];
  const port = Number(match?.[2]);
  // Digits and dots that are not an address would be read as different addresses by different parsers.
  if (hostname === undefined || port < 1 || port > 65535 || /^[0-9.]+$/.test(hostname)) return undefined;
  return { kind: "hostname", hostname: hostname.toLowerCase(), port };
}

/** Whether this workload stands for the address: its own, anything for a tunnel of its own, or what it is the waypoint of. */
function accepts(view: MeshView, local: Workload, localIp: IpAddress, ip: IpAddress): boolean {
  if (ip === localIp || local.applicationTunnel !== undefined) return true;
  const candidates: readonly (Workload | Service)[] = [
    view.workloadByAddress(local.network, ip),
    ...view.servicesByAddress(local.network, ip),
    ...view.servicesByBlock(local.network, ip),
  ].filter((candidate) => candidate !== undefined);
  const isLocal = (workload: Workload) => workload.uid === local.uid;
  return candidates.some(({ waypoint }) => waypoint !== undefined && isGatewayInstance(view, waypoint, isLocal, local.namespace));
}

function deliverByHostname(
  view: MeshView,
  facts: InboundFacts,
  local: Workload,
  target: TunnelTarget & { kind: "hostname" },
): InboundPlan {
  const service = serviceByHostname(view, target.hostname, local.namespace)?.service;
  if (service === undefined) return refuse(503, "DECIDE_HOSTNAME_UNKNOWN", `no service has the hostname ${target.hostname}`);
  const own = local.services.get(keyOf(service))?.get(target.port) ?? 0;
  const port = own > 0 ? own : (service.ports.find((candidate) => candidate.servicePort === target.port)?.targetPort ?? 0);
  if (port === 0) {
    return refuse(503, "DECIDE_PORT_UNKNOWN", `port ${target.port} of ${keyOf(service)} has no target port on ${local.uid}`);
  }
  return deliver(view, facts, local, target, port, service);
}

/** The address is always the local pod's, whatever was asked for. */
function deliver(
  view: MeshView,
  facts: InboundFacts,
  local: Workload,
  target: TunnelTarget,
  targetPort: number,
  named: Service | undefined,
): InboundPlan {
  const tunnel = local.applicationTunnel;
  const port = tunnel !== undefined && tunnel.port > 0 ? tunnel.port : targetPort;
  if (RESERVED_PORTS.has(targetPort) || RESERVED_PORTS.has(port)) {
    return refuse(503, "DECIDE_PORT_RESERVED", `port ${RESERVED_PORTS.has(port) ? port : targetPort} belongs to the proxy`);
  }
  const service = attributeService(view, local, targetPort, facts.forwardedHost, named);
  const plan: DeliverPlan = {
    kind: "deliver",
    local,
    destination: { ip: facts.localIp, port },
    ...(service === undefined ? {} : { service }),
  };
  if (tunnel === undefined) return plan;
  if (tunnel.protocol === "none") return { ...plan, applicationTunnel: {} };
  const proxyDestination = target.kind === "address" ? target.address : virtualAddress(named, local.network, target.port);
  if (proxyDestination === undefined) {
    return refuse(503, "DECIDE_VIP_MISSING", `${facts.authority} has no address to announce to the application tunnel`);
  }
  return { ...plan, applicationTunnel: { proxyDestination } };
}

/** Same network first, then IPv4; blocks are no single address. */
function virtualAddress(service: Service | undefined, network: NetworkId, port: number): SocketAddress | undefined {
  let best: IpAddress | undefined;
  let bestRank = -1;
  for (const address of service?.addresses ?? []) {
    const rank = (address.network === network ? 2 : 0) + (ipFamily(address.ip) === 4 ? 1 : 0);
    if (address.length !== undefined || rank <= bestRank) continue;
    best = address.ip;
    bestRank = rank;
  }
  return best === undefined ? undefined : { ip: best, port };
}

/**
 * The service that a connection to this port of the workload counts for: the one the client names when the workload serves it,
 * else the authority's, else one whose target port it is.
 * @source ztunnel src/proxy.rs guess_inbound_service
 */
export function attributeService(
  view: MeshView,
  local: Workload,
  targetPort: number,
  forwardedHost: string | undefined,
  named: Service | undefined,
): Service | undefined {
  let byPort: Service | undefined;
  for (const [key, ports] of local.services) {
    const service = view.service(key);
    if (service === undefined) continue;
    if (forwardedHost !== undefined && service.hostname === forwardedHost) return service;
    byPort ??= servesPort(service, ports, targetPort) ? service : undefined;
  }
  return named ?? byPort;
}

function servesPort(service: Service, own: ReadonlyMap<number, number>, targetPort: number): boolean {
  for (const port of service.ports) {
    const mapped = own.get(port.servicePort) ?? 0;
    if ((mapped > 0 ? mapped : port.targetPort) === targetPort) return true;
  }
  return false;
}

/** A redirected plaintext connection that arrived on 15006. */
export interface PassthroughFacts {
  readonly local: Workload | undefined;
  /** Destination before redirection. */
  readonly destination: SocketAddress;
}

/**
 * Plaintext goes to where it was going; authorization without identity comes after it.
 * @source ztunnel src/proxy/inbound_passthrough.rs proxy_inbound_plaintext
 */
export function planInboundPassthrough(view: MeshView, { local, destination }: PassthroughFacts): InboundPlan {
  if (RESERVED_PORTS.has(destination.port)) {
    return refuse(503, "DECIDE_PORT_RESERVED", `port ${destination.port} belongs to the proxy`);
  }
  if (local === undefined) {
    const reason = `no workload is known for ${formatSocketAddress(destination)}`;
    return refuse(503, "DECIDE_WORKLOAD_UNKNOWN", reason);
  }
  const service = attributeService(view, local, destination.port, undefined, undefined);
  return { kind: "deliver", local, destination, ...(service === undefined ? {} : { service }) };
}

function refuse(status: 400 | 503, code: DecideCode, reason: string): RefusePlan {
  return { kind: "refuse", status, code, reason };
}
