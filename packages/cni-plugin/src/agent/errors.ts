// Failures of the node agent.
import { type ErrorSpec, MeshError } from "@ambit/core";

export type AgentErrorCode =
  | "CNI_REQUEST_INVALID"
  | "CNI_POD_UNKNOWN"
  | "CNI_POD_NOT_ENROLLED"
  | "CNI_ANNOTATION_INVALID"
  | "CNI_NETNS_UNUSABLE"
  | "CNI_NETNS_NOT_FOUND"
  | "CNI_NETNS_AMBIGUOUS"
  | "CNI_REDIRECTION_FAILED"
  | "CNI_ZTUNNEL_NOT_CONNECTED"
  | "CNI_ZTUNNEL_REFUSED"
  | "CNI_ZDS_PROTOCOL";

export const agentErrors = {
  CNI_REQUEST_INVALID: { summary: "A request on the plugin socket is not one that the agent understands.", retry: "no" },
  CNI_POD_UNKNOWN: { summary: "The agent has not heard of the pod from Kubernetes yet.", retry: "later" },
  CNI_POD_NOT_ENROLLED: { summary: "The pod belongs into the mesh and is not in it.", retry: "later" },
  CNI_ANNOTATION_INVALID: { summary: "An annotation of the pod has a value that cannot be honoured.", retry: "no" },
  CNI_NETNS_UNUSABLE: { summary: "The network namespace that the runtime named cannot be opened.", retry: "later" },
  CNI_NETNS_NOT_FOUND: { summary: "No network namespace on this node has the pod's address.", retry: "later" },
  CNI_NETNS_AMBIGUOUS: { summary: "Several network namespaces have the pod's address.", retry: "later" },
  CNI_REDIRECTION_FAILED: { summary: "The pod's redirection could not be read, written or removed.", retry: "later" },
  CNI_ZTUNNEL_NOT_CONNECTED: { summary: "No node proxy is connected to the agent.", retry: "later" },
  CNI_ZTUNNEL_REFUSED: { summary: "The node proxy could not take the pod.", retry: "later" },
  CNI_ZDS_PROTOCOL: { summary: "The node proxy did not speak the protocol; its connection was closed.", retry: "later" },
} as const satisfies Record<AgentErrorCode, ErrorSpec>;

export function agentError(code: AgentErrorCode, message: string, cause?: unknown): MeshError {
  return new MeshError(code, message, { cause });
}
