// A workload: one running thing with addresses and an identity, as the data plane sees it after decoding.
// Field meanings: istio pkg/workloadapi/workload.proto, message Workload.
import type { IpAddress } from "./addresses.ts";
import { type SpiffeId, spiffeId } from "./identity.ts";
import type { ClusterId, NamespacedHostname, NetworkId, PolicyKey, WorkloadUid } from "./names.ts";

export type TunnelProtocol = "none" | "hbone";
export type WorkloadType = "deployment" | "cronjob" | "pod" | "job";
export type WorkloadStatus = "healthy" | "unhealthy";

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** An address within a network. */
export interface NetworkAddress {
  readonly network: NetworkId;
  readonly ip: IpAddress;
}

/** Where a waypoint or a network gateway is found; `hboneMtlsPort` is 15008 unless the control plane says otherwise. */
export interface GatewayAddress {
  readonly destination:
    | { readonly kind: "hostname"; readonly namespace: string; readonly hostname: string }
    | { readonly kind: "address"; readonly address: NetworkAddress };
  readonly hboneMtlsPort: number;
}

/** Service port to target port of one endpoint. Target 0 means: not known on this endpoint. */
export type PortMap = ReadonlyMap<number, number>;

export interface Workload {
  readonly uid: WorkloadUid;
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly IpAddress[];
  /** Resolved on demand when there are no addresses; empty when unused. */
  readonly hostname: string;
  readonly network: NetworkId;
  readonly networkMode: "standard" | "hostNetwork";
  readonly tunnelProtocol: TunnelProtocol;
  readonly nativeTunnel: boolean;
  readonly applicationTunnel?: { readonly protocol: "none" | "proxy"; readonly port: number };
  readonly trustDomain: string;
  readonly serviceAccount: string;
  readonly clusterId: ClusterId;
  readonly waypoint?: GatewayAddress;
  readonly networkGateway?: GatewayAddress;
  readonly node: string;
  readonly locality: Locality;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly workloadType: WorkloadType;
  readonly workloadName: string;
  /** The services this workload is an endpoint of. */
  readonly services: ReadonlyMap<NamespacedHostname, PortMap>;
  /** Selector policies attached to this workload. */
  readonly authorizationPolicies: readonly PolicyKey[];
  readonly status: WorkloadStatus;
  /** Relative weight in endpoint choice; 0 is never chosen. */
  readonly capacity: number;
}

export function identityOf(workload: Workload): SpiffeId {
  return spiffeId({
    trustDomain: workload.trustDomain,
    namespace: workload.namespace,
    serviceAccount: workload.serviceAccount,
  });
}
