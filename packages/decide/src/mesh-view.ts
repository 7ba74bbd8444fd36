// The read side of the mesh's state that decisions need. `discovery` implements it; tests build it by hand.
import type {
  Authorization,
  IpAddress,
  NamespacedHostname,
  NetworkId,
  PolicyKey,
  Service,
  Workload,
  WorkloadUid,
} from "@ambit/core";

/** One workload behind one service, with the target ports that this endpoint serves. */
export interface Endpoint {
  readonly workload: Workload;
  readonly ports: ReadonlyMap<number, number>;
}

export interface MeshView {
  workloadByUid(uid: WorkloadUid): Workload | undefined;
  /** Several workloads may hold an address; pods and HBONE-capable ones win. Host-network workloads are never found so. */
  workloadByAddress(network: NetworkId, ip: IpAddress): Workload | undefined;
  service(key: NamespacedHostname): Service | undefined;
  /** Every service that has this exact virtual address, in a stable order. */
  servicesByAddress(network: NetworkId, ip: IpAddress): readonly Service[];
  /** Services whose address block contains `ip`, longest block first. */
  servicesByBlock(network: NetworkId, ip: IpAddress): readonly Service[];
  servicesByHostname(hostname: string): readonly Service[];
  /** A workload with this hostname (waypoint references by hostname fall back to it). */
  workloadByHostname(namespace: string, hostname: string): Workload | undefined;
  /** All endpoints of the service, healthy or not; the health policy is applied by the decision. */
  endpoints(key: NamespacedHostname): readonly Endpoint[];
  policy(key: PolicyKey): Authorization | undefined;
  policiesOfNamespace(namespace: string): readonly Authorization[];
  globalPolicies(): readonly Authorization[];
}
