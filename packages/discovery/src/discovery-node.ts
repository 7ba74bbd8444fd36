// How a proxy introduces itself to the control plane.
import { type Node, NodeSchema } from "@ambit/api";
import { create, type JsonObject } from "@bufbuild/protobuf";

export interface DiscoveryNodeFacts {
  readonly proxyType: "ztunnel" | "waypoint";
  readonly podName: string;
  readonly podNamespace: string;
  readonly nodeName: string;
  /** 1.1.1.1 when it is not known, as the control plane only wants the shape. */
  readonly instanceIp?: string;
  /** `ISTIO_META_X` becomes metadata X, `ISTIO_METAJSON_X` the same parsed as JSON; everything else is ignored. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const META = "ISTIO_META_";
const META_JSON = "ISTIO_METAJSON_";

/** @throws SyntaxError when an ISTIO_METAJSON_ variable is not JSON @source ztunnel src/xds/client.rs Config::build_node */
export function discoveryNode(facts: DiscoveryNodeFacts): Node {
  const { proxyType, podName, podNamespace, nodeName, instanceIp = "1.1.1.1", environment } = facts;
  const metadata: JsonObject = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined) continue;
    if (name.startsWith(META)) metadata[name.slice(META.length)] = value;
    else if (name.startsWith(META_JSON)) metadata[name.slice(META_JSON.length)] = JSON.parse(value);
  }
  return create(NodeSchema, {
    id: `${proxyType}~${instanceIp}~${podName}.${podNamespace}~${podNamespace}.svc.cluster.local`,
    metadata: { ...metadata, NAME: podName, NAMESPACE: podNamespace, INSTANCE_IPS: instanceIp, NODE_NAME: nodeName },
  });
}
