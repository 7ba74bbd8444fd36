// What can become of one captured outbound connection, as data.
import {
  formatSocketAddress,
  type IpAddress,
  ipFamily,
  type NetworkId,
  type Service,
  type SocketAddress,
  type SpiffeId,
  type Workload,
} from "@ambit/core";
import { drawIndex } from "./balance.ts";
import type { DecideCode } from "./errors.ts";

export interface OutboundFacts {
  /** The pod that owns the listener. Never found through the peer address. */
  readonly source: Workload;
  /** The address that the application's connection came from. */
  readonly sourceIp: IpAddress;
  /** Destination before redirection. */
  readonly destination: SocketAddress;
}

export interface OutboundContext {
  /** The network that this proxy is in. */
  readonly network: NetworkId;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** What metrics and the access line say of the destination. */
interface Labels {
  readonly destinationWorkload?: Workload;
  readonly destinationService?: Service;
}

export interface HbonePlan extends Labels {
  readonly kind: "hbone";
  readonly source: Workload;
  readonly remote: SocketAddress;
  readonly authority: string;
  /** One of these must be in the peer's certificate. */
  readonly expectedIdentities: readonly SpiffeId[];
  /** The tunnel ends at a waypoint and not at the destination's own proxy. */
  readonly viaWaypoint: boolean;
}

/** A tunnel to the gateway of another network that carries a second tunnel to the destination's proxy or waypoint. */
export interface DoubleHbonePlan extends Labels {
  readonly kind: "doubleHbone";
  readonly source: Workload;
  readonly remote: SocketAddress;
  /** `hostname:service port`, of the outer and of the inner tunnel. */
  readonly authority: string;
  readonly expectedIdentities: readonly SpiffeId[];
  readonly innerExpectedIdentities: readonly SpiffeId[];
  readonly viaWaypoint: boolean;
}

export interface TcpPlan extends Labels {
  readonly kind: "tcp";
  readonly source: Workload;
  readonly remote: SocketAddress;
  /** `passthrough`: the mesh knows nothing of the destination, or was asked to leave it alone. */
  readonly reason: "passthrough" | "notInMesh";
}

/** The plan waits for a DNS answer; `completePlan` makes it whole. */
export interface ResolveHostnamePlan {
  readonly kind: "resolveHostname";
  readonly source: Workload;
  readonly hostname: string;
  /** Address families that may be used, and the one to prefer. */
  readonly families: readonly (4 | 6)[];
  readonly preferred: 4 | 6;
  readonly port: number;
  /** The plan once the address is known. `authorityPort` present: its authority is `address:authorityPort`. */
  readonly plan: UndialledPlan;
  readonly authorityPort?: number;
}

export interface OutboundDenial extends Labels {
  readonly kind: "deny";
  readonly source: Workload;
  readonly code: DecideCode;
  readonly reason: string;
}

export type DialPlan = HbonePlan | DoubleHbonePlan | TcpPlan;
/** A plan whose remote address is still to be found. */
export type UndialledPlan = Omit<HbonePlan, "remote"> | Omit<DoubleHbonePlan, "remote"> | Omit<TcpPlan, "remote">;
export type OutboundPlan = DialPlan | ResolveHostnamePlan | OutboundDenial;

/**
 * The plan with one of the resolved addresses in place: of an allowed family, of the preferred one if there is any, drawn evenly.
 * @param random uniform in [0, 1)
 */
export function completePlan(
  plan: ResolveHostnamePlan,
  addresses: readonly IpAddress[],
  random: () => number,
): DialPlan | OutboundDenial {
  const allowed = addresses.filter((ip) => plan.families.includes(ipFamily(ip)));
  const preferred = allowed.filter((ip) => ipFamily(ip) === plan.preferred);
  const candidates = preferred.length > 0 ? preferred : allowed;
  const ip = candidates[drawIndex(candidates, () => 1, random)];
  if (ip === undefined) {
    const reason = `no usable address for ${plan.hostname}, its DNS answer has ${addresses.length} addresses`;
    return { kind: "deny", source: plan.source, code: "DECIDE_NO_ADDRESS", reason };
  }
  return withRemote(plan.plan, { ip, port: plan.port }, plan.authorityPort);
}

/** `authorityPort` present: the tunnel's authority is the dialled address with that port. */
export function withRemote(plan: UndialledPlan, remote: SocketAddress, authorityPort?: number): DialPlan {
  if (plan.kind === "tcp" || authorityPort === undefined) return { ...plan, remote };
  return { ...plan, remote, authority: formatSocketAddress({ ip: remote.ip, port: authorityPort }) };
}
