// The error object of the CNI specification, from any failure.
import { asMeshError } from "@ambit/core";
import { type PluginErrorSpec, pluginErrors } from "./errors.ts";

const specs: Readonly<Record<string, PluginErrorSpec | undefined>> = pluginErrors;

/** The error object of the specification, for standard output. Never throws. */
export function formatCniError(error: unknown, cniVersion: string): string {
  const failure = asMeshError(error, "CNI_PLUGIN_UNEXPECTED");
  const spec = specs[failure.code] ?? pluginErrors.CNI_PLUGIN_UNEXPECTED;
  return JSON.stringify({ cniVersion, code: spec.cniCode, msg: failure.message, details: `${failure.code}: ${spec.summary}` });
}
