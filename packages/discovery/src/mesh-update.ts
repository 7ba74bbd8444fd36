// What discovery says has changed, as data that can be sent to other threads, and what came of it.
import type { Authorization, NamespacedHostname, PolicyKey, Service, Workload, WorkloadUid } from "@ambit/core";

/** What an Address resource can be. */
export type AddressResource =
  | { readonly kind: "workload"; readonly workload: Workload }
  | { readonly kind: "service"; readonly service: Service };

export interface ResourceChanges<Resource> {
  readonly upserts: readonly { readonly name: string; readonly resource: Resource }[];
  /** By resource name. */
  readonly removals: readonly string[];
}

/** Structured-cloneable. */
export interface MeshUpdate {
  readonly addresses?: ResourceChanges<AddressResource>;
  readonly authorizations?: ResourceChanges<Authorization>;
}

/** Keys of what is different now; resources that came again unchanged are not in it. */
export interface MeshChange {
  readonly workloads: ReadonlySet<WorkloadUid>;
  readonly services: ReadonlySet<NamespacedHostname>;
  readonly policies: ReadonlySet<PolicyKey>;
}
