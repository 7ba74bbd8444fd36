// Labels and annotations: selection, and the names that they give to workloads.

export type Labels = Readonly<Record<string, string>>;

export const USE_WAYPOINT = "istio.io/use-waypoint";
export const USE_WAYPOINT_NAMESPACE = "istio.io/use-waypoint-namespace";
export const USE_WAYPOINT_CANARY = "istio.io/use-waypoint-canary";
export const USE_WAYPOINT_CANARY_NAMESPACE = "istio.io/use-waypoint-canary-namespace";
export const USE_WAYPOINT_CANARY_WEIGHT = "istio.io/use-waypoint-canary-weight";
export const INGRESS_USE_WAYPOINT = "istio.io/ingress-use-waypoint";
export const WAYPOINT_FOR = "istio.io/waypoint-for";
export const WAYPOINT_INBOUND_BINDING = "ambient.istio.io/waypoint-inbound-binding";
export const GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name";
export const GATEWAY_MANAGED = "gateway.istio.io/managed";
const REDIRECTION = "ambient.istio.io/redirection";
const TUNNEL = "networking.istio.io/tunnel";
export const TRAFFIC_DISTRIBUTION = "networking.istio.io/traffic-distribution";
export const AUTOALLOCATE = "networking.istio.io/enable-autoallocate-ip";
export const DRY_RUN = "istio.io/dry-run";
export const SERVICE_NAME = "kubernetes.io/service-name";

/** Whether every label of the selector is there. An empty or absent selector selects nothing. */
export function selects(selector: Labels | undefined, labels: Labels): boolean {
  const wanted = Object.entries(selector ?? {});
  return wanted.length > 0 && wanted.every(([key, value]) => labels[key] === value);
}

/** The name that telemetry groups workloads by. @source istio pkg/config/labels CanonicalService */
export function canonicalName(labels: Labels, fallback: string): string {
  return labels["service.istio.io/canonical-name"] || labels["app.kubernetes.io/name"] || labels["app"] || fallback;
}

export function canonicalRevision(labels: Labels): string {
  return labels["service.istio.io/canonical-revision"] || labels["app.kubernetes.io/version"] || labels["version"] || "latest";
}

/** Redirected by the node agent, or speaking HBONE by itself. */
export function tunnelFacts(labels: Labels, annotations: Labels): { tunnelProtocol: "hbone" | "none"; nativeTunnel: boolean } {
  const nativeTunnel = labels[TUNNEL] === "http";
  return { tunnelProtocol: nativeTunnel || annotations[REDIRECTION] === "enabled" ? "hbone" : "none", nativeTunnel };
}
