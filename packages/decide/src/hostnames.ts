// Which of several services owns a virtual address or answers to a hostname, for a client in one namespace.
import { cidrContains, type IpAddress, type NetworkId, type Service } from "@ambit/core";
import type { MeshView } from "./mesh-view.ts";

/** Whether clients of `namespace` may use this definition of the service. */
export function isVisible(service: Service, namespace: string): boolean {
  return service.visibility === "public" || service.namespace === namespace;
}

/**
 * Own namespace, then canonical, then the preferred namespace (DNS only), then the first.
 * @source ztunnel src/state/service.rs get_best_by_namespace_or_canonical
 */
export function preferredService(
  services: readonly Service[],
  namespace: string,
  preferredNamespace?: string,
): Service | undefined {
  let best: Service | undefined;
  let bestRank = -1;
  for (const service of services) {
    if (!isVisible(service, namespace)) continue;
    const rank = preferenceRank(service, namespace, preferredNamespace);
    if (rank <= bestRank) continue;
    best = service;
    bestRank = rank;
  }
  return best;
}

function preferenceRank(service: Service, namespace: string, preferredNamespace: string | undefined): number {
  if (service.namespace === namespace) return 3;
  if (service.canonical) return 2;
  return service.namespace === preferredNamespace ? 1 : 0;
}

/**
 * The service that owns a virtual address. An exact address wins over every block;
 * among blocks own namespace, then the longer block, then canonical.
 * @source ztunnel src/state/service.rs get_best_by_vip
 */
export function serviceByAddress(view: MeshView, network: NetworkId, ip: IpAddress, namespace: string): Service | undefined {
  const exact = preferredService(view.servicesByAddress(network, ip), namespace);
  if (exact !== undefined) return exact;
  let best: Service | undefined;
  let bestRank = -1;
  for (const service of view.servicesByBlock(network, ip)) {
    if (!isVisible(service, namespace)) continue;
    const rank = blockRank(service, network, ip, namespace);
    if (rank <= bestRank) continue;
    best = service;
    bestRank = rank;
  }
  return best;
}

/** Own namespace above any length (at most 128), length above canonical. */
function blockRank(service: Service, network: NetworkId, ip: IpAddress, namespace: string): number {
  let longest = 0;
  for (const { network: blockNetwork, ip: address, length } of service.addresses) {
    if (blockNetwork !== network || length === undefined || length <= longest) continue;
    if (cidrContains({ address, length }, ip)) longest = length;
  }
  return (service.namespace === namespace ? 1000 : 0) + longest * 2 + (service.canonical ? 1 : 0);
}

/** A service found by a name that a client asked for. */
export interface HostnameMatch {
  readonly service: Service;
  /** The hostname as the service states it: the name itself, or a wildcard above it. */
  readonly hostname: string;
}

/**
 * The service that answers to `hostname` (lower case, without the final dot): by the exact name, then by wildcards, longest first.
 * @source ztunnel src/dns/server.rs find_server
 */
export function serviceByHostname(
  view: MeshView,
  hostname: string,
  namespace: string,
  preferredNamespace?: string,
): HostnameMatch | undefined {
  for (const candidate of hostnameCandidates(hostname)) {
    const service = preferredService(view.servicesByHostname(candidate), namespace, preferredNamespace);
    if (service !== undefined) return { service, hostname: candidate };
  }
  return undefined;
}

/** `a.b.c`, `*.b.c`, `*.c`. */
export function hostnameCandidates(hostname: string): string[] {
  const candidates = [hostname];
  for (let dot = hostname.indexOf("."); dot >= 0; dot = hostname.indexOf(".", dot + 1)) {
    if (dot + 1 < hostname.length) candidates.push(`*${hostname.slice(dot)}`);
  }
  return candidates;
}
