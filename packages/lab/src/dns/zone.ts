// The cluster's names: Services, headless Services and their pods. @source Kubernetes DNS specification 1.1.0
import { type KubeService, listKind, type ObjectSource, type Pod } from "@ambit/kube";
import { CLUSTER_DOMAIN } from "../network/plan.ts";
import { isHeadless, readyAddresses, SERVICE_NAME_LABEL, serviceIps } from "../services/frontends.ts";

/** The addresses of a name, of both families; undefined when the name does not exist. */
export function lookUp(source: Pick<ObjectSource, "list" | "get">, name: string): readonly string[] | undefined {
  const suffix = `.svc.${CLUSTER_DOMAIN}`;
  if (!name.endsWith(suffix)) return isAncestor(name, suffix.slice(1)) ? [] : undefined;
  const parts = name.slice(0, -suffix.length).split(".");
  const [service, namespace] = parts.slice(-2);
  const hostname = parts.length === 3 ? parts[0] : undefined;
  if (parts.length > 3 || service === undefined) return undefined;
  if (namespace === undefined) return source.get("Namespace", "", service) === undefined ? undefined : [];
  const found = source.get("Service", namespace, service) as KubeService | undefined;
  if (found === undefined) return undefined;
  if (hostname !== undefined) return isHeadless(found) ? addressesOfHost(source, found, hostname) : undefined;
  return isHeadless(found) ? endpointAddresses(source, found) : serviceIps(found);
}

function endpointAddresses(source: Pick<ObjectSource, "list">, { metadata }: KubeService): string[] {
  const slices = listKind(source, "EndpointSlice").filter(
    (slice) => slice.metadata.namespace === metadata.namespace && slice.metadata.labels[SERVICE_NAME_LABEL] === metadata.name,
  );
  return [...new Set(slices.flatMap(readyAddresses))];
}

/** `hostname` and `subdomain` of a pod make it a name below its headless Service. */
function addressesOfHost(source: Pick<ObjectSource, "list">, { metadata }: KubeService, hostname: string): string[] | undefined {
  const pods = (listKind(source, "Pod") as readonly Pod[]).filter(
    (pod) =>
      pod.metadata.namespace === metadata.namespace && pod.spec.subdomain === metadata.name && pod.spec.hostname === hostname,
  );
  return pods.length === 0 ? undefined : pods.flatMap(({ status }) => (status?.podIPs ?? []).map(({ ip }) => ip));
}

/** A name above others exists although it has no addresses. */
function isAncestor(name: string, descendant: string): boolean {
  return name === descendant || descendant.endsWith(`.${name}`);
}
