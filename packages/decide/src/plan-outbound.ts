// The decision for one captured outbound connection: facts in, plan out, nothing opened.
import {
  formatSocketAddress,
  type GatewayAddress,
  INBOUND_HBONE_PORT,
  type IpAddress,
  identityOf,
  isLoopback,
  type Service,
  type Workload,
} from "@ambit/core";
import { type Decision, note, type Trace } from "./decision.ts";
import type { DecideCode } from "./errors.ts";
import type { MeshView } from "./mesh-view.ts";
import {
  type OutboundContext,
  type OutboundDenial,
  type OutboundFacts,
  type OutboundPlan,
  type UndialledPlan,
  withRemote,
} from "./outbound-plan.ts";
import { RESERVED_PORTS } from "./reserved-ports.ts";
import {
  describeGateway,
  expectedIdentities,
  findAddress,
  findUpstream,
  isGatewayInstance,
  keyOf,
  pickHost,
  type Resolver,
  resolveGateway,
  type Upstream,
  waypointOfService,
} from "./resolve.ts";

/** One decision under way. */
interface Planning extends OutboundFacts {
  readonly resolver: Resolver;
  readonly trace: Trace | undefined;
}

/**
 * Chooses where one captured connection goes. A waypoint or gateway that cannot be resolved denies; it is never bypassed.
 * @source ztunnel src/proxy/outbound.rs build_request
 */
export function planOutbound(view: MeshView, facts: OutboundFacts, context: OutboundContext): OutboundPlan {
  return plan(view, facts, context, undefined);
}

/** The same plan, with what was looked at on the way. */
export function explainOutbound(view: MeshView, facts: OutboundFacts, context: OutboundContext): Decision<OutboundPlan> {
  const reasons: Trace = [];
  const outcome = plan(view, facts, context, reasons);
  return { outcome, reasons };
}

/** The order of the steps is upstream's, so that both proxies agree where two rules apply. */
function plan(view: MeshView, facts: OutboundFacts, context: OutboundContext, trace: Trace | undefined): OutboundPlan {
  const { source, destination } = facts;
  const resolver: Resolver = { view, source, random: context.random };
  const planning: Planning = { ...facts, resolver, trace };
  if (RESERVED_PORTS.has(destination.port) && (isLoopback(destination.ip) || source.addresses.includes(destination.ip))) {
    return deny(planning, "DECIDE_RECURSIVE_CALL", `attempted recursive call: ${formatSocketAddress(destination)}`);
  }

  const owner = findAddress(view, context.network, destination.ip, source.namespace);
  const addressed = owner?.kind === "service" ? owner.service : undefined;
  if (addressed !== undefined) {
    note(trace, "resolve", `${formatSocketAddress(destination)} is service ${keyOf(addressed)}`);
    const reference = waypointOfService(addressed, context.random);
    if (reference !== undefined) return toWaypoint(planning, reference, addressed, undefined);
  }

  const found = findUpstream(resolver, context.network, destination);
  switch (found.kind) {
    case "upstream":
      return toUpstream(planning, found.upstream, addressed);
    case "noEndpoint":
      return noHealthyUpstream(planning, found.service);
    case "passthrough":
      note(trace, "resolve", `service ${keyOf(found.service)} asks for its connections to be left alone`, true);
      return { kind: "tcp", source, remote: destination, reason: "passthrough", destinationService: found.service };
    case "unknown":
      if (addressed !== undefined) return noHealthyUpstream(planning, addressed);
      note(trace, "resolve", `${destination.ip} is not in the mesh`, true);
      return { kind: "tcp", source, remote: destination, reason: "passthrough" };
  }
}

/** Through the gateway of its network, through its own waypoint when no service was addressed, or straight to it. */
function toUpstream(planning: Planning, upstream: Upstream, addressed: Service | undefined): OutboundPlan {
  const { source, trace } = planning;
  note(trace, "endpoint", `${upstream.workload.uid} port ${upstream.port}`);
  if (upstream.workload.network !== source.network) return throughGateway(planning, upstream, addressed, false);
  if (addressed === undefined && upstream.workload.waypoint !== undefined) {
    if (!comesFromWaypoint(planning, upstream.workload.waypoint)) {
      return toWaypoint(planning, upstream.workload.waypoint, upstream.service, upstream.workload);
    }
    note(trace, "waypoint", `${describeGateway(upstream.workload.waypoint)} is the caller itself`);
  }
  return direct(planning, upstream);
}

/** A hop to the waypoint with the original destination, not translated, as the authority. */
function toWaypoint(
  planning: Planning,
  reference: GatewayAddress,
  service: Service | undefined,
  workload: Workload | undefined,
): OutboundPlan {
  const { source, destination, resolver, trace } = planning;
  const waypoint = resolveGateway(resolver, reference);
  if (waypoint === undefined) {
    return deny(planning, "DECIDE_WAYPOINT_UNKNOWN", `unknown waypoint: ${describeGateway(reference)}`, service, workload);
  }
  note(trace, "waypoint", `${describeGateway(reference)} through ${waypoint.workload.uid}`, true);
  if (waypoint.workload.network !== source.network) return throughGateway(planning, waypoint, service, true);
  const plan: UndialledPlan = {
    kind: "hbone",
    source,
    authority: formatSocketAddress(destination),
    expectedIdentities: expectedIdentities(waypoint),
    viaWaypoint: true,
    ...labels(waypoint.workload, service),
  };
  return dial(planning, plan, waypoint, wantedFor(reference, destination.ip), waypoint.port);
}

/** References by hostname adapt to the caller's address family, references by address do not. */
function wantedFor(reference: GatewayAddress, original: IpAddress): IpAddress {
  return reference.destination.kind === "address" ? reference.destination.address.ip : original;
}

/**
 * Two tunnels to another network: the gateway there ends the outer one and passes the inner one on by hostname.
 * @source ztunnel src/proxy/outbound.rs build_double_hbone_request
 */
function throughGateway(planning: Planning, target: Upstream, service: Service | undefined, viaWaypoint: boolean): OutboundPlan {
  const { source, destination, resolver, trace } = planning;
  const { workload } = target;
  if (service === undefined) {
    const reason = `${workload.uid} is in network "${workload.network}", which only service addresses reach`;
    return deny(planning, "DECIDE_NETWORK_UNREACHABLE", reason, undefined, workload);
  }
  if (workload.networkGateway === undefined) {
    const reason = `no gateway is known for network "${workload.network}" of ${workload.uid}`;
    return deny(planning, "DECIDE_GATEWAY_UNKNOWN", reason, service, workload);
  }
  const gateway = resolveGateway(resolver, workload.networkGateway);
  if (gateway === undefined) {
    const reason = `unknown network gateway: ${describeGateway(workload.networkGateway)}`;
    return deny(planning, "DECIDE_GATEWAY_UNKNOWN", reason, service, workload);
  }
  note(trace, "gateway", `${describeGateway(workload.networkGateway)} of network "${workload.network}"`, true);
  const plan: UndialledPlan = {
    kind: "doubleHbone",
    source,
    authority: `${service.hostname}:${destination.port}`,
    expectedIdentities: expectedIdentities(gateway),
    innerExpectedIdentities: target.service?.subjectAltNames ?? [],
    viaWaypoint,
    ...labels(workload, service),
  };
  return dial(planning, plan, gateway, wantedFor(workload.networkGateway, destination.ip), gateway.port);
}

/** Straight to the workload: over HBONE when it can, else as plain TCP. */
function direct(planning: Planning, upstream: Upstream): OutboundPlan {
  const { source, destination, trace } = planning;
  const { workload, port } = upstream;
  if (workload.tunnelProtocol === "none") {
    note(trace, "transport", `${workload.uid} is not in the mesh: plain TCP`, true);
    const plan: UndialledPlan = { kind: "tcp", source, reason: "notInMesh", ...labels(workload, upstream.service) };
    return dial(planning, plan, upstream, destination.ip, port);
  }
  note(trace, "transport", `${workload.uid} is in the mesh: HBONE`, true);
  const plan: UndialledPlan = {
    kind: "hbone",
    source,
    authority: "",
    expectedIdentities: expectedIdentities(upstream),
    viaWaypoint: false,
    ...labels(workload, upstream.service),
  };
  return dial(planning, plan, upstream, destination.ip, INBOUND_HBONE_PORT, port);
}

/** Gives the plan its remote address, now or after a DNS answer. */
function dial(
  planning: Planning,
  plan: UndialledPlan,
  upstream: Upstream,
  wanted: IpAddress,
  port: number,
  authorityPort?: number,
): OutboundPlan {
  const host = pickHost(upstream, wanted);
  if (host === undefined) {
    const reason = `${upstream.workload.uid} has no address that can be dialled`;
    return deny(planning, "DECIDE_NO_ADDRESS", reason, plan.destinationService, plan.destinationWorkload);
  }
  if (host.kind === "address") return withRemote(plan, { ip: host.ip, port }, authorityPort);
  const { hostname, families, preferred } = host;
  const waiting = { kind: "resolveHostname", source: planning.source, hostname, families, preferred, port } as const;
  return authorityPort === undefined ? { ...waiting, plan } : { ...waiting, plan, authorityPort };
}

/** Traffic that the upstream's own waypoint sends is not sent back to it: identity and address must both be the waypoint's. */
function comesFromWaypoint({ source, sourceIp, resolver }: Planning, reference: GatewayAddress): boolean {
  const own = identityOf(source);
  const isCaller = (workload: Workload) => identityOf(workload) === own && workload.addresses.includes(sourceIp);
  return isGatewayInstance(resolver.view, reference, isCaller, source.namespace);
}

function noHealthyUpstream(planning: Planning, service: Service): OutboundDenial {
  const reason = `no healthy upstream: ${formatSocketAddress(planning.destination)}`;
  return deny(planning, "DECIDE_NO_HEALTHY_UPSTREAM", reason, service);
}

function deny(
  { source, trace }: Planning,
  code: DecideCode,
  reason: string,
  service?: Service,
  workload?: Workload,
): OutboundDenial {
  note(trace, "verdict", reason, true);
  return { kind: "deny", source, code, reason, ...labels(workload, service) };
}

function labels(destinationWorkload: Workload | undefined, destinationService: Service | undefined) {
  return {
    ...(destinationWorkload === undefined ? {} : { destinationWorkload }),
    ...(destinationService === undefined ? {} : { destinationService }),
  };
}
