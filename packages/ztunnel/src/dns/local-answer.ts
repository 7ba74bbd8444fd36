// Names that the mesh answers itself: services by hostname, with the search domains of a pod's namespace.
import { type IpAddress, ipFamily, namespacedHostname, type Service } from "@ambit/core";
import { type MeshView, serviceByHostname } from "@ambit/decide";

export interface NameQuestion {
  /** Lower case, without the final dot. */
  readonly name: string;
  readonly family: 4 | 6;
}

export interface LocalNames {
  readonly namespace: string;
  readonly network: string;
  readonly clusterDomain: string;
  readonly preferredNamespace: string | undefined;
  readonly ipv6: boolean;
}

/** Empty `addresses`: the name is known and has none of this family. */
export interface LocalAnswer {
  readonly addresses: readonly IpAddress[];
  /** The name that the addresses belong to when a search domain was stripped. */
  readonly alias: string | undefined;
}

/** undefined: the mesh does not know the name, somebody else may. @source ztunnel src/dns/server.rs Store::lookup */
export function answerLocally(view: MeshView, names: LocalNames, question: NameQuestion): LocalAnswer | undefined {
  for (const { name, isStripped } of candidates(names, question.name)) {
    const match = serviceByHostname(view, name, names.namespace, names.preferredNamespace);
    if (match === undefined) continue;
    const addresses = addressesOf(view, names, match.service);
    if (addresses === undefined) continue;
    const wanted = names.ipv6 || question.family === 4 ? addresses.filter((ip) => ipFamily(ip) === question.family) : [];
    // A wildcard has no name of its own that an alias could lead to.
    const isWildcard = match.hostname.startsWith("*");
    return { addresses: wanted, alias: isStripped && !isWildcard ? name : undefined };
  }
  return undefined;
}

/** @source ztunnel src/dns/server.rs get_aliases */
function* candidates(names: LocalNames, name: string): Generator<{ readonly name: string; readonly isStripped: boolean }> {
  for (const candidate of expansions(names, name)) yield { name: candidate, isStripped: false };
  const { namespace, clusterDomain } = names;
  for (const domain of [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain]) {
    if (!name.endsWith(`.${domain}`)) continue;
    for (const stripped of expansions(names, name.slice(0, -domain.length - 1))) {
      if (stripped !== name) yield { name: stripped, isStripped: true };
    }
  }
}

/** The name itself and what Kubernetes makes of short ones. */
function expansions({ namespace, clusterDomain }: LocalNames, name: string): string[] {
  const labels = name.split(".");
  const svc = `svc.${clusterDomain}`;
  switch (labels.length) {
    case 1:
      return [name, `${name}.${namespace}.${svc}`];
    case 2:
      return [name, `${name}.${svc}`, `${name}.${namespace}.${svc}`];
    case 3:
      return labels[2] === "svc" ? [name, `${name}.${clusterDomain}`, `${name}.${svc}`] : [name, `${name}.${svc}`];
    case 4:
      return labels[3] === "svc" ? [name, `${name}.${clusterDomain}`] : [name];
    default:
      return [name];
  }
}

/** Virtual addresses; of a headless service those of its endpoints; undefined when others must answer. */
function addressesOf(view: MeshView, { network, clusterDomain }: LocalNames, service: Service): IpAddress[] | undefined {
  const own = service.addresses.filter((address) => address.network === network && address.length === undefined);
  if (own.length > 0) return own.map((address) => address.ip);
  if (service.addresses.length > 0 || !service.hostname.endsWith(`.svc.${clusterDomain}`)) return undefined;
  const key = namespacedHostname(service.namespace, service.hostname);
  const isWanted = (status: string) => status === "healthy" || service.loadBalancing?.healthPolicy === "allowAll";
  return view
    .endpoints(key)
    .filter(({ workload }) => workload.network === network && isWanted(workload.status))
    .flatMap(({ workload }) => workload.addresses);
}
