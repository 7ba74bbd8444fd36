// Kubernetes objects in few words, as users write them.

interface PodFacts {
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly uid?: string;
  readonly node?: string;
  readonly serviceAccount?: string;
  readonly ip?: string;
  readonly phase?: string;
  readonly ready?: boolean;
  readonly [field: string]: unknown;
}

/** Running, ready, redirected; `facts` beyond those named go into the spec. */
export function pod(name: string, facts: PodFacts = {}) {
  const { namespace = "bookinfo", labels, annotations, uid, node = "n1", serviceAccount = name, ip = "10.0.0.1" } = facts;
  const {
    phase = "Running",
    ready = true,
    containers = [{ name: "c" }],
    ownerReferences,
    deletionTimestamp,
    hostNetwork,
  } = facts;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...{ name, namespace, labels, uid, ownerReferences, deletionTimestamp },
      annotations: annotations ?? { "ambient.istio.io/redirection": "enabled" },
    },
    spec: { nodeName: node, serviceAccountName: serviceAccount, containers, hostNetwork },
    status: { phase, podIPs: ip === "" ? [] : [{ ip }], conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  };
}

export function object(apiVersion: string, kind: string, name: string, rest: Readonly<Record<string, unknown>> = {}) {
  const { namespace = "bookinfo", labels, annotations, creationTimestamp, ...fields } = rest;
  return { apiVersion, kind, metadata: { name, namespace, labels, annotations, creationTimestamp }, ...fields };
}

export const kubernetesService = (name: string, spec: unknown, rest: Readonly<Record<string, unknown>> = {}) =>
  object("v1", "Service", name, { spec, ...rest });
export const serviceEntry = (name: string, spec: unknown, rest: Readonly<Record<string, unknown>> = {}) =>
  object("networking.istio.io/v1", "ServiceEntry", name, { spec, ...rest });
export const authorizationPolicy = (name: string, spec: unknown, rest: Readonly<Record<string, unknown>> = {}) =>
  object("security.istio.io/v1", "AuthorizationPolicy", name, { spec, ...rest });
export const peerAuthentication = (name: string, spec: unknown, rest: Readonly<Record<string, unknown>> = {}) =>
  object("security.istio.io/v1", "PeerAuthentication", name, { spec, ...rest });
export const gateway = (name: string, rest: Readonly<Record<string, unknown>> = {}) =>
  object("gateway.networking.k8s.io/v1", "Gateway", name, {
    spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15008, protocol: "HBONE" }] },
    status: { addresses: [{ type: "IPAddress", value: "10.96.0.9" }] },
    ...rest,
  });
export const namespace = (name: string, labels: Readonly<Record<string, string>> = {}) => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, labels },
});
