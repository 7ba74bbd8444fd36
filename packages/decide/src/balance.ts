// Which endpoint of a service takes a connection.
import type { RoutingScope, Service, Workload } from "@ambit/core";
import type { Endpoint } from "./mesh-view.ts";

/** `waypoint`: the port need not exist on the service when the endpoint has an application tunnel. */
export type ResolutionMode = "standard" | "waypoint";

export interface EndpointChoice {
  readonly workload: Workload;
  readonly targetPort: number;
}

export interface BalanceRequest {
  readonly service: Service;
  readonly servicePort: number;
  readonly source: Workload;
  readonly mode: ResolutionMode;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/**
 * Filters, ranks by the service's routing preference, and draws by capacity.
 * Health is judged now, not when the endpoint was learnt, so that a changed health policy takes effect.
 * @source ztunnel src/state.rs load_balance
 */
export function chooseEndpoint(endpoints: readonly Endpoint[], request: BalanceRequest): EndpointChoice | undefined {
  return drawByCapacity(preferred(usableEndpoints(endpoints, request), request), request.random);
}

/** Endpoints that could take the connection at all, with the port that each would take it on. */
export function usableEndpoints(endpoints: readonly Endpoint[], request: BalanceRequest): EndpointChoice[] {
  const { service, servicePort, source, mode } = request;
  const onlyHealthy = service.loadBalancing?.healthPolicy !== "allowAll";
  const port = service.ports.find((candidate) => candidate.servicePort === servicePort);
  if (port === undefined && mode === "standard") return [];
  const usable: EndpointChoice[] = [];
  for (const endpoint of endpoints) {
    const { workload } = endpoint;
    if (onlyHealthy && workload.status !== "healthy") continue;
    if (!isReachable(workload, source)) continue;
    const targetPort = targetPortOf(endpoint, servicePort, port?.targetPort ?? 0, mode);
    if (targetPort > 0) usable.push({ workload, targetPort });
  }
  return usable;
}

/** By its own address or name, or through the gateway of its network. */
function isReachable(workload: Workload, source: Workload): boolean {
  if (workload.addresses.length > 0 || workload.hostname !== "") return true;
  return workload.network !== source.network && workload.networkGateway !== undefined;
}

function targetPortOf(endpoint: Endpoint, servicePort: number, serviceTargetPort: number, mode: ResolutionMode): number {
  const own = endpoint.ports.get(servicePort) ?? 0;
  if (own > 0) return own;
  if (serviceTargetPort > 0) return serviceTargetPort;
  return mode === "waypoint" ? (endpoint.workload.applicationTunnel?.port ?? 0) : 0;
}

/** What the routing preference leaves over. */
function preferred(choices: EndpointChoice[], { service, source }: BalanceRequest): EndpointChoice[] {
  const mode = service.loadBalancing?.mode ?? "unspecified";
  const preference = service.loadBalancing?.routingPreference ?? [];
  if (mode === "strict") {
    return choices.filter(({ workload }) => preference.every((scope) => sameScope(scope, source, workload)));
  }
  if (mode !== "failover" || preference.length === 0) return choices;
  const ranks = choices.map(({ workload }) => failoverRank(preference, source, workload));
  const best = Math.max(...ranks);
  return choices.filter((_, i) => ranks[i] === best);
}

/**
 * The number of leading preferences matched. A first preference NETWORK is worth all others together and a miss of it
 * does not end the count: any endpoint of the own network beats any remote one, and remote ones still rank among themselves.
 */
export function failoverRank(preference: readonly RoutingScope[], source: Workload, candidate: Workload): number {
  let rank = 0;
  for (const [i, scope] of preference.entries()) {
    const networkFirst = i === 0 && scope === "network";
    if (sameScope(scope, source, candidate)) rank += networkFirst ? preference.length : 1;
    else if (!networkFirst) break;
  }
  return rank;
}

function sameScope(scope: RoutingScope, a: Workload, b: Workload): boolean {
  switch (scope) {
    case "region":
      return a.locality.region === b.locality.region;
    case "zone":
      return a.locality.zone === b.locality.zone;
    case "subzone":
      return a.locality.subzone === b.locality.subzone;
    case "node":
      return a.node === b.node;
    case "cluster":
      return a.clusterId === b.clusterId;
    case "network":
      return a.network === b.network;
  }
}

/** Capacity 0 is never drawn; when all are 0 nothing is. */
function drawByCapacity(choices: readonly EndpointChoice[], random: () => number): EndpointChoice | undefined {
  const index = drawIndex(choices, (choice) => choice.workload.capacity, random);
  return choices[index];
}

/** An index with probability proportional to its weight, -1 when no weight is positive. */
export function drawIndex<Item>(items: readonly Item[], weightOf: (item: Item) => number, random: () => number): number {
  let total = 0;
  let last = -1;
  for (const [i, item] of items.entries()) {
    const weight = weightOf(item);
    if (weight <= 0) continue;
    total += weight;
    last = i;
  }
  let left = random() * total;
  for (const [i, item] of items.entries()) {
    const weight = weightOf(item);
    if (weight <= 0) continue;
    left -= weight;
    if (left < 0) return i;
  }
  return last;
}
