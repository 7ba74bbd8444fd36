// The well-known ports of the mesh and why each exists.

/** Redirected outbound connections of an enrolled pod arrive here. */
export const OUTBOUND_PORT = 15001;
/** Redirected inbound plaintext arrives here. */
export const INBOUND_PLAINTEXT_PORT = 15006;
/** HBONE: peers dial it directly, it is never redirected. */
export const INBOUND_HBONE_PORT = 15008;
/** DNS captured in the pod, UDP and TCP. */
export const DNS_PORT = 15053;
/** Admin, on localhost only. */
export const ADMIN_PORT = 15000;
/** Prometheus scrapes here: /metrics and /stats/prometheus. */
export const METRICS_PORT = 15020;
/** Kubelet asks here: /healthz/ready. */
export const READINESS_PORT = 15021;
/** Discovery and certificates of the control plane, over TLS. */
export const DISCOVERY_PORT = 15012;
/** Metrics, version and debug pages of the control plane. */
export const CONTROL_PLANE_HTTP_PORT = 15014;
/** Mark on every packet of the proxy, so that redirection leaves them alone. */
export const PROXY_MARK = 1337;
