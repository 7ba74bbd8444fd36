// A view of a mesh that is nothing but lists searched from front to back: too slow to ship, too simple to be wrong.
import {
  type Authorization,
  cidrContains,
  type IpAddress,
  namespacedHostname,
  type PolicyKey,
  policyKey,
  type Service,
  type Workload,
} from "@ambit/core";
import type { Endpoint, MeshView } from "@ambit/decide";

export interface MeshContents {
  readonly workloads?: readonly Workload[];
  readonly services?: readonly Service[];
  readonly policies?: readonly Authorization[];
}

/** Lists are searched in the order given; for services and addresses that several hold, callers rely on it. */
export function meshView({ workloads = [], services = [], policies = [] }: MeshContents): MeshView {
  const holders = (network: string, ip: IpAddress) =>
    workloads.filter((w) => w.networkMode !== "hostNetwork" && w.network === network && w.addresses.includes(ip));
  const hasBlock = (service: Service, network: string, ip: IpAddress) => blockLength(service, network, ip) !== undefined;
  return {
    workloadByUid: (uid) => workloads.find((w) => w.uid === uid),
    workloadByAddress(network, ip) {
      const bits = (w: Workload) => [w.uid.includes("//Pod/"), w.tunnelProtocol === "hbone", w.status === "healthy"];
      const rank = (w: Workload) => bits(w).map(Number).join("");
      // Of equals the last: it is the newest.
      return holders(network, ip).reduce<Workload | undefined>(
        (a, b) => (a !== undefined && rank(a) > rank(b) ? a : b),
        undefined,
      );
    },
    service: (key) => services.find((s) => namespacedHostname(s.namespace, s.hostname) === key),
    servicesByAddress: (network, ip) =>
      services.filter((s) => s.addresses.some((a) => a.length === undefined && a.network === network && a.ip === ip)),
    servicesByBlock: (network, ip) =>
      services
        .filter((s) => hasBlock(s, network, ip))
        .sort((a, b) => (blockLength(b, network, ip) ?? 0) - (blockLength(a, network, ip) ?? 0)),
    servicesByHostname: (hostname) => services.filter((s) => s.hostname === hostname),
    workloadByHostname: (namespace, hostname) => workloads.find((w) => w.namespace === namespace && w.hostname === hostname),
    endpoints(key) {
      const exists = services.some((s) => namespacedHostname(s.namespace, s.hostname) === key);
      if (!exists) return [];
      return workloads.flatMap((workload): Endpoint[] => {
        const ports = workload.services.get(key);
        return ports === undefined ? [] : [{ workload, ports }];
      });
    },
    policy: (key: PolicyKey) => policies.find((p) => policyKey(p.namespace, p.name) === key),
    policiesOfNamespace: (namespace) => policies.filter((p) => p.scope === "namespace" && p.namespace === namespace),
    globalPolicies: () => policies.filter((p) => p.scope === "global"),
  };
}

function blockLength(service: Service, network: string, ip: IpAddress): number | undefined {
  const lengths = service.addresses.flatMap(({ network: of, ip: address, length }) =>
    length !== undefined && of === network && cidrContains({ address, length }, ip) ? [length] : [],
  );
  return lengths.length === 0 ? undefined : Math.max(...lengths);
}
