// How a proxy introduces itself, and whether that fits who it has shown to be.
import type { Node } from "@ambit/api";
import { MeshError } from "@ambit/core";
import type { Caller } from "../ca/authenticate.ts";

export interface ProxyNode {
  readonly id: string;
  readonly type: string;
  readonly podName: string;
  readonly namespace: string;
  /** Empty when unknown. */
  readonly nodeName: string;
  readonly version: string;
}

/**
 * `ztunnel~1.2.3.4~pod.namespace~namespace.svc.cluster.local`, with metadata.
 * @throws ISTIOD_REQUEST_INVALID for another form, ISTIOD_NOT_AUTHORIZED when the namespace is not the caller's
 */
export function proxyNodeOf(node: Node | undefined, caller: Caller): ProxyNode {
  const [type, , podAndNamespace = "", domain] = node?.id.split("~") ?? [];
  const dot = podAndNamespace.lastIndexOf(".");
  if (node === undefined || type === undefined || domain === undefined || dot <= 0)
    throw new MeshError(
      "ISTIOD_REQUEST_INVALID",
      `The first request must carry a node with an id such as ztunnel~IP~POD.NAMESPACE~DOMAIN, not ${JSON.stringify(node?.id ?? "")}`,
    );
  const namespace = podAndNamespace.slice(dot + 1);
  if (namespace !== caller.namespace)
    throw new MeshError(
      "ISTIOD_NOT_AUTHORIZED",
      `The proxy ${node.id} is not of namespace ${caller.namespace}, which its credentials are for`,
    );
  const metadata = node.metadata ?? {};
  const text = (key: string) => (typeof metadata[key] === "string" ? metadata[key] : "");
  return {
    id: node.id,
    type,
    podName: podAndNamespace.slice(0, dot),
    namespace,
    nodeName: text("NODE_NAME"),
    version: text("ISTIO_VERSION"),
  };
}
