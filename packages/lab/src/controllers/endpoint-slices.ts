// Services with selectors → EndpointSlices that list their pods.
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { type EndpointSlice, type KubeService, listKind, type ObjectSource, type Pod } from "@ambit/kube";
import { FAMILIES } from "../network/plan.ts";
import { SERVICE_NAME_LABEL } from "../services/frontends.ts";
import { isDeleted, isReady } from "./deployments.ts";
import type { Write } from "./write.ts";

const MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by";
const MANAGER = "lab";

interface SlicePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
}

export function endpointSliceWrites(source: Pick<ObjectSource, "list">): Write[] {
  const pods = listKind(source, "Pod");
  const wanted = new Map(
    listKind(source, "Service")
      .flatMap((service) => slicesOf(service, pods))
      .map((slice) => [`${slice.metadata.namespace}/${slice.metadata.name}`, slice]),
  );
  const existing = new Map(
    listKind(source, "EndpointSlice")
      .filter(({ metadata }) => metadata.labels[MANAGED_BY_LABEL] === MANAGER)
      .map((slice) => [`${slice.metadata.namespace}/${slice.metadata.name}`, slice]),
  );
  const changed = [...wanted].filter(([key, slice]) => !isSame(slice, existing.get(key)));
  const gone = [...existing].filter(([key]) => !wanted.has(key));
  return [
    ...changed.map(([, slice]): Write => ({ type: "apply", object: { ...slice } })),
    ...gone.map(
      ([, { metadata }]): Write => ({
        type: "delete",
        ref: { kind: "EndpointSlice", namespace: metadata.namespace, name: metadata.name },
      }),
    ),
  ];
}

function slicesOf(service: KubeService, pods: readonly Pod[]) {
  const { name, namespace } = service.metadata;
  const selector = Object.entries(service.spec.selector ?? {});
  if (selector.length === 0) return [];
  const selected = pods.filter(
    ({ metadata, status }) =>
      metadata.namespace === namespace &&
      (status?.podIPs?.length ?? 0) > 0 &&
      status?.phase !== "Failed" &&
      status?.phase !== "Succeeded" &&
      selector.every(([label, value]) => metadata.labels[label] === value),
  );
  // Named target ports may be other numbers in other pods; one slice has one set of ports.
  const groups = Map.groupBy(selected, (pod) => JSON.stringify(portsFor(service, pod)));
  return FAMILIES.flatMap((family) =>
    [...groups].map(([ports, members]) => ({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: {
        name: `${name}-ipv${family}-${createHash("sha256").update(ports).digest("hex").slice(0, 5)}`,
        namespace,
        labels: { [SERVICE_NAME_LABEL]: name, [MANAGED_BY_LABEL]: MANAGER },
      },
      addressType: `IPv${family}`,
      endpoints: members.map((pod) => endpointOf(pod, family, service.spec.publishNotReadyAddresses)).sort(byAddress),
      ports: JSON.parse(ports) as SlicePort[],
    })),
  );
}

function endpointOf(pod: Pod, family: 4 | 6, publishAlways: boolean) {
  const { name, namespace, uid } = pod.metadata;
  const addresses = (pod.status?.podIPs ?? []).map(({ ip }) => ip).filter((ip) => ip.includes(":") === (family === 6));
  const serving = isReady(pod);
  return {
    addresses,
    conditions: { ready: publishAlways || (serving && !isDeleted(pod)), serving, terminating: isDeleted(pod) },
    nodeName: pod.spec.nodeName ?? "",
    targetRef: { kind: "Pod", name, namespace, uid: uid ?? "" },
  };
}

function portsFor({ spec }: KubeService, pod: Pod): SlicePort[] {
  return spec.ports.flatMap(({ name = "", port, targetPort = port, protocol }) => {
    const number = typeof targetPort === "number" ? targetPort : containerPort(pod, targetPort);
    return number === undefined ? [] : [{ name, port: number, protocol }];
  });
}

export function containerPort({ spec }: Pod, name: string): number | undefined {
  return spec.containers.flatMap(({ ports }) => ports).find((port) => port.name === name)?.containerPort;
}

function byAddress(a: { readonly addresses: readonly string[] }, b: { readonly addresses: readonly string[] }): number {
  return (a.addresses[0] ?? "") < (b.addresses[0] ?? "") ? -1 : 1;
}

function isSame(wanted: ReturnType<typeof slicesOf>[number], existing: EndpointSlice | undefined): boolean {
  return (
    existing !== undefined &&
    isDeepStrictEqual(wanted.endpoints, existing.endpoints) &&
    isDeepStrictEqual(wanted.ports, existing.ports)
  );
}
