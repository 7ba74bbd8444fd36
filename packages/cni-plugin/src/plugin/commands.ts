// The CNI commands. Who belongs into the mesh is the agent's decision; the plugin fails closed when it does not get one.
import { asMeshError, type Logger, type MeshError } from "@ambit/core";
import { type AgentAnswer, type AgentClient, attachmentBody } from "./agent-client.ts";
import { pluginError } from "./errors.ts";
import { CNI_VERSIONS, type Invocation } from "./invocation.ts";

export interface CommandDeps {
  readonly agent: AgentClient;
  readonly logger: Logger;
}

/** Pods of the agent itself: they must be able to start while no agent runs. */
const AGENT_POD_PREFIXES = ["ambit-cni-", "istio-cni-node-"];

/** @returns what goes to standard output, empty for commands without a result */
export async function runCniCommand(invocation: Invocation, deps: CommandDeps): Promise<string> {
  switch (invocation.command) {
    case "ADD":
      return add(invocation, deps);
    case "DEL":
      return remove(invocation, deps);
    case "CHECK":
      return check(invocation, deps);
    case "STATUS":
      return status(deps);
    case "GC":
      return collectGarbage(invocation, deps);
    case "VERSION":
      return JSON.stringify({ cniVersion: invocation.cniVersion, supportedVersions: CNI_VERSIONS });
  }
}

async function add(invocation: Invocation, { agent, logger }: CommandDeps): Promise<string> {
  const result = JSON.stringify(invocation.config.prevResult ?? { cniVersion: invocation.cniVersion });
  const exemption = whyNotOurs(invocation);
  if (exemption !== undefined) {
    logger.debug("Pod let through", { ...invocation.pod, reason: exemption });
    return result;
  }
  const answer = await agent.post("/cmdadd", attachmentBody(invocation));
  if (answer.status !== 200) throw refused(invocation, answer);
  logger.info("Agent answered ADD", { ...invocation.pod, answer: answer.body });
  return result;
}

/**
 * Always succeeds: a DEL that fails leaves the pod terminating for ever, and the agent learns from Kubernetes too that a pod is gone.
 * Comes again without namespace and previous result after the sandbox is dead.
 */
async function remove(invocation: Invocation, { agent, logger }: CommandDeps): Promise<string> {
  if (whyNotOurs(invocation) !== undefined) return "";
  try {
    const answer = await agent.post("/cmddel", attachmentBody(invocation));
    if (answer.status !== 200) logger.warn("Agent could not serve DEL", { ...invocation.pod, answer: answer.body });
  } catch (error) {
    logger.warn("Agent not told of DEL", { ...invocation.pod, reason: asMeshError(error, "CNI_PLUGIN_UNEXPECTED").message });
  }
  return "";
}

async function check(invocation: Invocation, { agent }: CommandDeps): Promise<string> {
  if (invocation.config.prevResult === undefined) {
    throw pluginError("CNI_PLUGIN_CONFIG_INVALID", "CHECK needs prevResult, the result of the ADD that it checks");
  }
  if (whyNotOurs(invocation) !== undefined) return "";
  const answer = await agent.post("/cmdcheck", attachmentBody(invocation));
  if (answer.status !== 200) {
    throw pluginError(
      "CNI_PLUGIN_POD_NOT_REDIRECTED",
      `${describePod(invocation)} is not redirected as it should be: ${reasonOf(answer)}`,
    );
  }
  return "";
}

async function status({ agent }: CommandDeps): Promise<string> {
  try {
    const answer = await agent.post("/cmdstatus", {});
    if (answer.status === 200) return "";
    throw pluginError("CNI_PLUGIN_NOT_READY", `The node agent is not ready: ${reasonOf(answer)}`);
  } catch (error) {
    const failure = asMeshError(error, "CNI_PLUGIN_NOT_READY");
    if (failure.code !== "CNI_PLUGIN_AGENT_UNAVAILABLE") throw failure;
    throw pluginError("CNI_PLUGIN_NOT_READY", failure.message, failure);
  }
}

async function collectGarbage(invocation: Invocation, { agent }: CommandDeps): Promise<string> {
  const attachments = invocation.config["cni.dev/valid-attachments"];
  if (attachments === undefined) {
    throw pluginError("CNI_PLUGIN_CONFIG_INVALID", "GC needs cni.dev/valid-attachments: without it every pod would be garbage");
  }
  const answer = await agent.post("/cmdgc", { ValidContainerIDs: attachments.map((attachment) => attachment.containerID) });
  if (answer.status !== 200) throw refused(invocation, answer);
  return "";
}

/** In words why the agent is not asked about this pod; undefined when it is. */
function whyNotOurs({ pod, config }: Invocation): string | undefined {
  if (pod.name === "" || pod.namespace === "") return "CNI_ARGS names no Kubernetes pod";
  if (pod.namespace === config.pod_namespace && AGENT_POD_PREFIXES.some((prefix) => pod.name.startsWith(prefix))) {
    return "it is the node agent itself";
  }
  return config.exclude_namespaces.includes(pod.namespace) ? `namespace ${pod.namespace} is excluded` : undefined;
}

function refused(invocation: Invocation, answer: AgentAnswer): MeshError {
  const what = invocation.command === "GC" ? "Garbage collection" : describePod(invocation);
  return pluginError("CNI_PLUGIN_AGENT_REFUSED", `${what} failed at the node agent: ${reasonOf(answer)}`);
}

function describePod({ pod }: Invocation): string {
  return `Pod ${pod.namespace}/${pod.name}`;
}

/** The agent answers failures as `{"error": "..."}`; another agent may answer plain text. */
function reasonOf(answer: AgentAnswer): string {
  try {
    const parsed: unknown = JSON.parse(answer.body);
    if (typeof parsed === "object" && parsed !== null && "error" in parsed && typeof parsed.error === "string")
      return parsed.error;
  } catch {
    // Plain text: said as it is.
  }
  return answer.body.trim() || `status ${answer.status}`;
}
