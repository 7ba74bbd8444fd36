// Branded strings for names that must not be mixed up.

/** Key of a workload in discovery, for a pod `<cluster>//Pod/<namespace>/<name>`. Opaque. */
export type WorkloadUid = string & { readonly __brand: "WorkloadUid" };
/** `<namespace>/<hostname>`, the key of a service. */
export type NamespacedHostname = string & { readonly __brand: "NamespacedHostname" };
/** `<namespace>/<name>`, the key of a policy. */
export type PolicyKey = string & { readonly __brand: "PolicyKey" };
/** A domain in which workload addresses are unique; empty for the default one. */
export type NetworkId = string;
export type ClusterId = string;
/** Kubernetes pod UID, the key of the node agent's protocol. */
export type PodUid = string & { readonly __brand: "PodUid" };

export function namespacedHostname(namespace: string, hostname: string): NamespacedHostname {
  return `${namespace}/${hostname}` as NamespacedHostname;
}

export function policyKey(namespace: string, name: string): PolicyKey {
  return `${namespace}/${name}` as PolicyKey;
}
