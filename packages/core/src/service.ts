// A service: a named set of ports and endpoints with virtual addresses, as the data plane sees it after decoding.
// Field meanings: istio pkg/workloadapi/workload.proto, message Service.
import type { IpAddress } from "./addresses.ts";
import type { SpiffeId } from "./identity.ts";
import type { NetworkId } from "./names.ts";
import type { GatewayAddress } from "./workload.ts";

export type RoutingScope = "region" | "zone" | "subzone" | "node" | "cluster" | "network";
export type LoadBalancingMode = "unspecified" | "strict" | "failover" | "passthrough";
export type AppProtocol = "unknown" | "http11" | "http2" | "grpc" | "tcp" | "tls";
export type IpFamilies = "automatic" | "ipv4Only" | "ipv6Only" | "dual";

/** A virtual address; `length` present makes it a block. */
export interface ServiceAddress {
  readonly network: NetworkId;
  readonly ip: IpAddress;
  readonly length?: number;
}

export interface ServicePort {
  readonly servicePort: number;
  /** 0: the port is named, each endpoint's own map has it. */
  readonly targetPort: number;
  readonly appProtocol: AppProtocol;
}

export interface LoadBalancing {
  readonly routingPreference: readonly RoutingScope[];
  readonly mode: LoadBalancingMode;
  readonly healthPolicy: "onlyHealthy" | "allowAll";
}

export interface Service {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly addresses: readonly ServiceAddress[];
  readonly ports: readonly ServicePort[];
  readonly subjectAltNames: readonly SpiffeId[];
  readonly waypoint?: GatewayAddress;
  readonly weightedWaypoints: readonly { readonly destination: GatewayAddress; readonly weight: number }[];
  readonly ingressUseWaypoint: boolean;
  readonly loadBalancing?: LoadBalancing;
  readonly ipFamilies: IpFamilies;
  /** The preferred definition of its hostname. */
  readonly canonical: boolean;
  readonly visibility: "public" | "namespace";
}
