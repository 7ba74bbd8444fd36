// Gateways as waypoints, and which one an object is bound to.
import { type GatewayAddress, INBOUND_HBONE_PORT, parseIp, type Service } from "@ambit/core";
import type { Gateway, GatewayClass } from "@ambit/kube";
import {
  GATEWAY_MANAGED,
  INGRESS_USE_WAYPOINT,
  type Labels,
  selects,
  USE_WAYPOINT,
  USE_WAYPOINT_CANARY,
  USE_WAYPOINT_CANARY_NAMESPACE,
  USE_WAYPOINT_CANARY_WEIGHT,
  USE_WAYPOINT_NAMESPACE,
  WAYPOINT_FOR,
  WAYPOINT_INBOUND_BINDING,
} from "./labels.ts";
import type { MeshSettings } from "./settings.ts";

export interface Waypoint {
  readonly namespace: string;
  readonly name: string;
  readonly address: GatewayAddress;
  readonly trafficType: string;
  readonly admits: (namespace: string, namespaceLabels: Labels) => boolean;
  /** How traffic is handed over other than by HBONE. */
  readonly inboundBinding: { readonly protocol: "none" | "proxy"; readonly port: number } | undefined;
}

/** What an object is bound by: its own labels and those of its namespace. */
export interface BoundObject {
  readonly namespace: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly namespaceLabels: Labels;
  readonly namespaceAnnotations: Labels;
}

export type WaypointFinder = (namespace: string, name: string) => Waypoint | undefined;

/** Undefined while the Gateway has no address. @source istio pilot/pkg/serviceregistry/ambient/waypoints.go */
export function waypointOf(
  gateway: Gateway,
  gatewayClass: GatewayClass | undefined,
  settings: MeshSettings,
): Waypoint | undefined {
  const { name, namespace, labels, annotations } = gateway.metadata;
  const address = addressOf(gateway, settings);
  if (address === undefined) return undefined;
  const inboundBinding = bindingOf(
    annotations[WAYPOINT_INBOUND_BINDING] ?? gatewayClass?.metadata.annotations[WAYPOINT_INBOUND_BINDING],
  );
  return {
    namespace,
    name,
    address,
    trafficType: labels[WAYPOINT_FOR] ?? gatewayClass?.metadata.labels[WAYPOINT_FOR] ?? "service",
    admits: admissionOf(gateway, inboundBinding?.port),
    inboundBinding,
  };
}

/** A name is preferred: it keeps its meaning when the address changes. */
function addressOf({ metadata, status }: Gateway, { network }: MeshSettings): GatewayAddress | undefined {
  const addresses = status?.addresses ?? [];
  const hostname = addresses.find(
    ({ type, value }) => type === "Hostname" || (type === undefined && parseIp(value) === undefined),
  );
  if (hostname !== undefined) {
    const { namespace } = metadata;
    return { destination: { kind: "hostname", namespace, hostname: hostname.value }, hboneMtlsPort: INBOUND_HBONE_PORT };
  }
  for (const { value } of addresses) {
    const ip = parseIp(value);
    if (ip !== undefined)
      return { destination: { kind: "address", address: { network, ip } }, hboneMtlsPort: INBOUND_HBONE_PORT };
  }
  return undefined;
}

/** `PROXY/15088`. */
function bindingOf(text: string | undefined): Waypoint["inboundBinding"] {
  const match = /^(NONE|PROXY)(?:\/(\d{1,5}))?$/.exec(text ?? "");
  if (match === null) return undefined;
  return { protocol: match[1] === "PROXY" ? "proxy" : "none", port: Number(match[2] ?? 0) };
}

/** A selector without matchLabels admits nobody: forms that are not understood must not open a gateway. */
function admissionOf({ metadata, spec }: Gateway, bindingPort: number | undefined): Waypoint["admits"] {
  const byBinding = spec.listeners.find(({ port }) => port === bindingPort);
  const listener = byBinding ?? spec.listeners.find(({ port, protocol }) => protocol === "HBONE" && port === INBOUND_HBONE_PORT);
  const { from = "Same", selector } = listener?.allowedRoutes?.namespaces ?? {};
  return (namespace, labels) => {
    if (from === "All") return true;
    if (from === "Same") return namespace === metadata.namespace;
    return from === "Selector" && selects(selector?.matchLabels, { "kubernetes.io/metadata.name": namespace, ...labels });
  };
}

export interface WaypointBinding {
  readonly waypoint: Waypoint | undefined;
  /** Why a label has no effect. */
  readonly problem?: string;
}

/** The object's own label decides, absent waypoint or not; only without one does the namespace's. */
export function bindWaypoint(object: BoundObject, kind: "service" | "workload", find: WaypointFinder): WaypointBinding {
  const own = object.labels[USE_WAYPOINT] !== undefined;
  const labels = own ? object.labels : object.namespaceLabels;
  const name = labels[USE_WAYPOINT];
  if (name === undefined || name === "" || name === "none") return { waypoint: undefined };
  const bound = attach(object, labels[USE_WAYPOINT_NAMESPACE] || object.namespace, name, kind, find);
  // A namespace's waypoint is for what its kind says; that a pod is not of that kind is no mistake of anybody.
  return typeof bound === "string"
    ? { waypoint: undefined, ...(own || kind === "service" ? { problem: bound } : {}) }
    : { waypoint: bound };
}

/** The waypoint, or why it cannot be attached. */
function attach(
  object: BoundObject,
  namespace: string,
  name: string,
  kind: "service" | "workload",
  find: WaypointFinder,
): Waypoint | string {
  const waypoint = find(namespace, name);
  if (waypoint === undefined) return `waypoint ${namespace}/${name} does not exist or has no address yet`;
  if (!waypoint.admits(object.namespace, object.namespaceLabels))
    return `waypoint ${namespace}/${name} does not admit namespace ${object.namespace}; see allowedRoutes of its listener`;
  if (waypoint.trafficType !== "all" && waypoint.trafficType !== kind)
    return `waypoint ${namespace}/${name} is for ${waypoint.trafficType} traffic, not for a ${kind}`;
  return waypoint;
}

/** Services of gateways themselves are never bound: they would send their own traffic in a circle. */
function isGatewayService(labels: Labels): boolean {
  const managed = labels[GATEWAY_MANAGED];
  return managed === "istio.io-mesh-controller" || managed === "istio.io-eastwest-controller";
}

type ServiceWaypoints = Pick<Service, "waypoint" | "weightedWaypoints" | "ingressUseWaypoint"> & { readonly problem?: string };

/** The waypoint fields of a service. A canary that cannot be attached leaves the primary as it is. */
export function waypointsOfService(object: BoundObject, find: WaypointFinder): ServiceWaypoints {
  if (isGatewayService(object.labels)) return { weightedWaypoints: [], ingressUseWaypoint: false };
  const { waypoint, problem } = bindWaypoint(object, "service", find);
  if (waypoint === undefined)
    return { weightedWaypoints: [], ingressUseWaypoint: false, ...(problem === undefined ? {} : { problem }) };
  const canary = canaryOf(object, waypoint, find);
  return {
    waypoint: waypoint.address,
    weightedWaypoints: typeof canary === "string" ? [] : canary,
    ingressUseWaypoint: ingressUseOf(object),
    ...(typeof canary === "string" ? { problem: canary } : {}),
  };
}

/** Shares of primary and canary, empty without a canary, or why there is none. */
function canaryOf(object: BoundObject, primary: Waypoint, find: WaypointFinder): Service["weightedWaypoints"] | string {
  const own = object.labels[USE_WAYPOINT] !== undefined;
  const labels = own ? object.labels : object.namespaceLabels;
  const annotations = own ? object.annotations : object.namespaceAnnotations;
  const name = labels[USE_WAYPOINT_CANARY];
  if (name === undefined || name === "") return [];
  const weightText = annotations[USE_WAYPOINT_CANARY_WEIGHT] ?? "0";
  const weight = /^\d{1,3}$/.test(weightText) ? Number(weightText) : Number.NaN;
  if (!(weight <= 100)) return `${USE_WAYPOINT_CANARY_WEIGHT} must be a number from 0 to 100, not ${weightText}`;
  const canary = attach(object, labels[USE_WAYPOINT_CANARY_NAMESPACE] || object.namespace, name, "service", find);
  if (typeof canary === "string") return canary;
  if (canary.namespace === primary.namespace && canary.name === primary.name)
    return `the canary waypoint ${canary.namespace}/${canary.name} is the primary one`;
  if (weight === 0) return [];
  return [
    { destination: primary.address, weight: 100 - weight },
    { destination: canary.address, weight },
  ];
}

const TRUE_WORDS: ReadonlySet<string> = new Set(["1", "t", "T", "true", "TRUE", "True"]);

function ingressUseOf({ labels, namespaceLabels }: BoundObject): boolean {
  return TRUE_WORDS.has(labels[INGRESS_USE_WAYPOINT] ?? namespaceLabels[INGRESS_USE_WAYPOINT] ?? "");
}
