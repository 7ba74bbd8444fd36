// The Kubernetes objects of the benchmark's mesh: two nodes, a client and a server pod, a service, and a policy that lets the one to the other.
import { BULK_PORT, CLIENT_IP, HTTP_PORT, SERVER_IP, SERVICE_IP } from "./rig.ts";

export const SIDES = ["a", "b"] as const;
export type Side = (typeof SIDES)[number];
export const SYSTEM_NAMESPACE = "ambit-system";
const NAMESPACE = "bench";
const SERVER_LABELS = { app: "server" };

export function meshObjects(): readonly object[] {
  return [
    namespace(SYSTEM_NAMESPACE, {}),
    namespace(NAMESPACE, { "istio.io/dataplane-mode": "ambient" }),
    ...SIDES.map((side) => ({ apiVersion: "v1", kind: "Node", metadata: { name: `node-${side}` } })),
    ...SIDES.map((side) =>
      pod(SYSTEM_NAMESPACE, `ztunnel-${side}`, side, "ztunnel", { app: "ztunnel" }, `10.78.0.${side === "a" ? 1 : 2}`),
    ),
    pod(NAMESPACE, "client", "a", "client", { app: "client" }, CLIENT_IP),
    pod(NAMESPACE, "server", "b", "server", SERVER_LABELS, SERVER_IP),
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "server", namespace: NAMESPACE },
      spec: {
        clusterIP: SERVICE_IP,
        clusterIPs: [SERVICE_IP],
        selector: SERVER_LABELS,
        ports: [
          { name: "http", port: HTTP_PORT, targetPort: HTTP_PORT, protocol: "TCP" },
          { name: "bulk", port: BULK_PORT, targetPort: BULK_PORT, protocol: "TCP" },
        ],
      },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: "server-1", namespace: NAMESPACE, labels: { "kubernetes.io/service-name": "server" } },
      addressType: "IPv4",
      ports: [
        { name: "http", port: HTTP_PORT, protocol: "TCP" },
        { name: "bulk", port: BULK_PORT, protocol: "TCP" },
      ],
      endpoints: [
        {
          addresses: [SERVER_IP],
          conditions: { ready: true, serving: true, terminating: false },
          nodeName: "node-b",
          targetRef: { kind: "Pod", name: "server", namespace: NAMESPACE, uid: podUid("server") },
        },
      ],
    },
    {
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { name: "client-only", namespace: NAMESPACE },
      spec: {
        selector: { matchLabels: SERVER_LABELS },
        action: "ALLOW",
        rules: [
          {
            from: [{ source: { principals: [`cluster.local/ns/${NAMESPACE}/sa/client`] } }],
            to: [{ operation: { ports: [String(HTTP_PORT), String(BULK_PORT)] } }],
          },
        ],
      },
    },
  ];
}

export function podUid(name: string): string {
  return `00000000-0000-4000-8000-${Buffer.from(name.padEnd(6, "0").slice(0, 6)).toString("hex")}`;
}

function namespace(name: string, labels: Readonly<Record<string, string>>): object {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

function pod(
  namespaceName: string,
  name: string,
  side: Side,
  serviceAccount: string,
  labels: Readonly<Record<string, string>>,
  podIp: string,
): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: namespaceName, uid: podUid(name), labels },
    spec: { nodeName: `node-${side}`, serviceAccountName: serviceAccount, containers: [{ name: "main", image: "main" }] },
    status: {
      phase: "Running",
      podIP: podIp,
      podIPs: [{ ip: podIp }],
      conditions: [{ type: "Ready", status: "True" }],
    },
  };
}
