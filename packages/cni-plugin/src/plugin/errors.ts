// Failures that the plugin reports to the container runtime.
import { type ErrorSpec, MeshError } from "@ambit/core";

export type PluginErrorCode =
  | "CNI_PLUGIN_VERSION_UNSUPPORTED"
  | "CNI_PLUGIN_ENVIRONMENT_INVALID"
  | "CNI_PLUGIN_INPUT_UNDECODABLE"
  | "CNI_PLUGIN_CONFIG_INVALID"
  | "CNI_PLUGIN_AGENT_UNAVAILABLE"
  | "CNI_PLUGIN_AGENT_REFUSED"
  | "CNI_PLUGIN_NOT_READY"
  | "CNI_PLUGIN_POD_NOT_REDIRECTED"
  | "CNI_PLUGIN_UNEXPECTED";

export interface PluginErrorSpec extends ErrorSpec {
  /** @source CNI specification 1.1.0, "Error" */
  readonly cniCode: number;
}

export const pluginErrors = {
  CNI_PLUGIN_VERSION_UNSUPPORTED: {
    summary: "The runtime asks for a CNI version that we do not speak.",
    retry: "no",
    cniCode: 1,
  },
  CNI_PLUGIN_ENVIRONMENT_INVALID: { summary: "A CNI_* variable is missing or malformed.", retry: "no", cniCode: 4 },
  CNI_PLUGIN_INPUT_UNDECODABLE: { summary: "Standard input is not a JSON object.", retry: "no", cniCode: 6 },
  CNI_PLUGIN_CONFIG_INVALID: {
    summary: "The network configuration lacks something or has it in the wrong shape.",
    retry: "no",
    cniCode: 7,
  },
  CNI_PLUGIN_AGENT_UNAVAILABLE: {
    summary: "The node agent did not answer; the pod may not start unprotected.",
    retry: "later",
    cniCode: 11,
  },
  CNI_PLUGIN_AGENT_REFUSED: { summary: "The node agent could not take the pod into the mesh.", retry: "later", cniCode: 11 },
  CNI_PLUGIN_NOT_READY: { summary: "The node agent is not ready to take pods.", retry: "later", cniCode: 50 },
  CNI_PLUGIN_POD_NOT_REDIRECTED: {
    summary: "CHECK found that the pod is not redirected as it should be.",
    retry: "no",
    cniCode: 100,
  },
  CNI_PLUGIN_UNEXPECTED: { summary: "A defect in the plugin.", retry: "later", cniCode: 101 },
} satisfies Record<PluginErrorCode, PluginErrorSpec>;

export function pluginError(code: PluginErrorCode, message: string, cause?: unknown): MeshError {
  return new MeshError(code, message, { cause });
}
