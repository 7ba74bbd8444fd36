// Whether a node's proxy may have the identity of somebody else: only of pods that run on its own node.
import { MeshError, parseSpiffeId, type SpiffeId } from "@ambit/core";
import { getKind, listKind, type ObjectSource } from "@ambit/kube";
import { isTerminal } from "../translate/pods.ts";
import type { Caller } from "./authenticate.ts";

export interface NodeAuthorizationOptions {
  readonly trustDomain: string;
  /** `namespace/serviceaccount` of node proxies. */
  readonly trustedAccounts: readonly string[];
}

/** @throws ISTIOD_NOT_AUTHORIZED saying which condition fails */
export function authorizeImpersonation(
  caller: Caller,
  identity: string,
  source: Pick<ObjectSource, "get" | "list">,
  { trustDomain, trustedAccounts }: NodeAuthorizationOptions,
): SpiffeId {
  if (identity === caller.identity) return caller.identity;
  const refused = (reason: string) =>
    new MeshError("ISTIOD_NOT_AUTHORIZED", `${caller.namespace}/${caller.serviceAccount} may not have ${identity}: ${reason}`);
  const wanted = parseSpiffeId(identity);
  if (wanted === undefined) throw refused("it is no SPIFFE identity");
  if (wanted.trustDomain !== trustDomain) throw refused(`this mesh's trust domain is ${trustDomain}`);
  if (!trustedAccounts.includes(`${caller.namespace}/${caller.serviceAccount}`))
    throw refused("the account is not a trusted node account");
  if (caller.pod === undefined) throw refused("its credentials name no pod, so its node is not known; use a pod-bound token");
  const pod = getKind(source, "Pod", caller.namespace, caller.pod.name);
  const isSame =
    pod !== undefined &&
    pod.metadata.uid === caller.pod.uid &&
    pod.spec.serviceAccountName === caller.serviceAccount &&
    !isTerminal(pod);
  if (!isSame) throw refused(`its pod ${caller.pod.name} with uid ${caller.pod.uid} does not exist any more`);
  const { nodeName } = pod.spec;
  if (nodeName === undefined || nodeName === "") throw refused(`its pod ${caller.pod.name} is on no node`);
  const runsHere = listKind(source, "Pod").some(
    (other) =>
      other.spec.nodeName === nodeName &&
      other.metadata.namespace === wanted.namespace &&
      other.spec.serviceAccountName === wanted.serviceAccount &&
      !isTerminal(other),
  );
  if (!runsHere) throw refused(`no pod of that service account runs on node ${nodeName}`);
  return identity as SpiffeId;
}
