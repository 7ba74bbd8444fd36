// The objects that a cluster has before anybody applies one.
import { CONTROL_PLANE, DNS_SERVICE_IPS, type LabNode, type Machine, SYSTEM_NAMESPACE } from "./network/plan.ts";
import { SERVICE_NAME_LABEL } from "./services/frontends.ts";

export function baseObjects(nodes: readonly LabNode[]): readonly Record<string, unknown>[] {
  const namespaces = ["default", "kube-system", SYSTEM_NAMESPACE, "istio-system"];
  return [
    ...namespaces.map((name) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, labels: { "kubernetes.io/metadata.name": name } },
    })),
    ...[CONTROL_PLANE, ...nodes].map(nodeObject),
    dnsService(),
    ...([4, 6] as const).map(dnsSlice),
  ];
}

function nodeObject({ name, ips }: Machine): Record<string, unknown> {
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels: { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" } },
    status: {
      addresses: [ips[4], ips[6]].map((address) => ({ type: "InternalIP", address })),
      conditions: [{ type: "Ready", status: "True" }],
    },
  };
}

function dnsService(): Record<string, unknown> {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "kube-dns", namespace: "kube-system", labels: { "k8s-app": "kube-dns" } },
    spec: {
      clusterIP: DNS_SERVICE_IPS[4],
      clusterIPs: [DNS_SERVICE_IPS[4], DNS_SERVICE_IPS[6]],
      ipFamilies: ["IPv4", "IPv6"],
      ports: [
        { name: "dns", port: 53, protocol: "UDP" },
        { name: "dns-tcp", port: 53, protocol: "TCP" },
      ],
    },
  };
}

/** The server is the lab's own, in the control plane's namespace: no pod stands behind it. */
function dnsSlice(family: 4 | 6): Record<string, unknown> {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `kube-dns-ipv${family}`, namespace: "kube-system", labels: { [SERVICE_NAME_LABEL]: "kube-dns" } },
    addressType: `IPv${family}`,
    endpoints: [{ addresses: [CONTROL_PLANE.ips[family]], conditions: { ready: true } }],
    ports: [
      { name: "dns", port: 53, protocol: "UDP" },
      { name: "dns-tcp", port: 53, protocol: "TCP" },
    ],
  };
}
