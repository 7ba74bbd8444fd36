// The environment variables of a container: its own, those of Services, and facts about its pod.
import { type Container, type KubeService, listKind, type ObjectSource, type Pod } from "@ambit/kube";
import { serviceIps } from "../services/frontends.ts";

export interface PodFacts {
  readonly ips: readonly string[];
  readonly hostIp: string;
}

/** Later ones win: what the manifest says overrides what Kubernetes adds. */
export function containerEnvironment(
  pod: Pod,
  container: Container,
  facts: PodFacts,
  source: Pick<ObjectSource, "list">,
): Record<string, string> {
  const services = listKind(source, "Service").filter(({ metadata }) => metadata.namespace === pod.metadata.namespace);
  const own = container.env.map(({ name, value, valueFrom }): [string, string] => [
    name,
    valueFrom?.fieldRef === undefined ? value : fieldOf(pod, facts, valueFrom.fieldRef.fieldPath),
  ]);
  return { ...Object.fromEntries(services.flatMap(serviceVariables)), HOSTNAME: pod.metadata.name, ...Object.fromEntries(own) };
}

/** @source Kubernetes: Service environment variables */
function serviceVariables(service: KubeService): [string, string][] {
  const [ip] = serviceIps(service);
  const [first] = service.spec.ports;
  if (ip === undefined || first === undefined) return [];
  const prefix = service.metadata.name.toUpperCase().replaceAll(/[-.]/g, "_");
  const named = service.spec.ports.flatMap(({ name, port }): [string, string][] =>
    name === undefined ? [] : [[`${prefix}_SERVICE_PORT_${name.toUpperCase().replaceAll("-", "_")}`, String(port)]],
  );
  return [[`${prefix}_SERVICE_HOST`, ip], [`${prefix}_SERVICE_PORT`, String(first.port)], ...named];
}

/** The fields that the downward API gives; empty for one that the pod does not have. */
function fieldOf(pod: Pod, { ips, hostIp }: PodFacts, path: string): string {
  const { metadata, spec } = pod;
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (keyed !== null) return (keyed[1] === "labels" ? metadata.labels : metadata.annotations)[keyed[2] ?? ""] ?? "";
  const fields: Readonly<Record<string, string | undefined>> = {
    "metadata.name": metadata.name,
    "metadata.namespace": metadata.namespace,
    "metadata.uid": metadata.uid,
    "spec.nodeName": spec.nodeName,
    "spec.serviceAccountName": spec.serviceAccountName,
    "status.podIP": ips[0],
    "status.podIPs": ips.join(","),
    "status.hostIP": hostIp,
  };
  return fields[path] ?? "";
}
