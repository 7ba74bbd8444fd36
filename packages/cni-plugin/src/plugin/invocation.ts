// What the container runtime says: CNI_* variables and the network configuration, as one typed value.
import type { MeshError } from "@ambit/core";
import { z } from "zod";
import { pluginError } from "./errors.ts";

export const CNI_VERSIONS = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
export type CniVersion = (typeof CNI_VERSIONS)[number];
export const LATEST_CNI_VERSION: CniVersion = "1.1.0";

const COMMANDS = ["ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION"] as const;
type CniCommand = (typeof COMMANDS)[number];
const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** The keys of ours; all others, those of the CNI specification and of Istio's plugin among them, are let through. */
const networkConfigSchema = z.looseObject({
  cniVersion: z.string().default("0.3.1"),
  name: z.string().default(""),
  cni_agent_run_dir: z.string().min(1).default("/var/run/istio-cni"),
  exclude_namespaces: z.array(z.string()).default(["kube-system"]),
  pod_namespace: z.string().min(1).default("ambit-system"),
  plugin_log_level: z.enum(LOG_LEVELS).catch("warn"),
  prevResult: z.looseObject({}).optional(),
  "cni.dev/valid-attachments": z.array(z.looseObject({ containerID: z.string(), ifname: z.string() })).optional(),
});
type NetworkConfig = z.infer<typeof networkConfigSchema>;

const resultSchema = z.looseObject({
  interfaces: z.array(z.looseObject({ name: z.string(), sandbox: z.string().optional() })).default([]),
  ips: z
    .array(
      z.looseObject({
        address: z.string(),
        gateway: z.string().optional(),
        interface: z.number().int().nonnegative().optional(),
      }),
    )
    .default([]),
});

export interface PodAddress {
  /** Index into the previous result's interfaces. */
  readonly interface: number | undefined;
  /** With its prefix length, `10.244.1.3/24`. */
  readonly cidr: string;
  readonly gateway: string | undefined;
}

export interface Invocation {
  readonly command: CniCommand;
  readonly cniVersion: CniVersion;
  readonly config: NetworkConfig;
  /** Empty when the command has none. */
  readonly containerId: string;
  /** Empty for a DEL after the namespace is gone. */
  readonly netns: string;
  readonly pod: { readonly name: string; readonly namespace: string; readonly uid: string };
  /** The pod's own addresses, from the previous plugin's result. */
  readonly addresses: readonly PodAddress[];
}

export type GetEnv = (name: string) => string | undefined;

/** Which variables each command cannot do without. @source CNI specification 1.1.0, section 2 */
const REQUIRED: Readonly<Record<CniCommand, readonly string[]>> = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME"],
  STATUS: [],
  GC: [],
  VERSION: [],
};
const SINCE: Readonly<Record<CniCommand, CniVersion>> = {
  ADD: "0.3.1",
  DEL: "0.3.1",
  VERSION: "0.3.1",
  CHECK: "0.4.0",
  STATUS: "1.1.0",
  GC: "1.1.0",
};

/** @throws CNI_PLUGIN_ENVIRONMENT_INVALID, CNI_PLUGIN_INPUT_UNDECODABLE, CNI_PLUGIN_CONFIG_INVALID, CNI_PLUGIN_VERSION_UNSUPPORTED */
export function parseInvocation(getenv: GetEnv, stdin: string): Invocation {
  const command = COMMANDS.find((known) => known === getenv("CNI_COMMAND"));
  if (command === undefined) {
    throw invalidEnvironment(
      `CNI_COMMAND is ${JSON.stringify(getenv("CNI_COMMAND") ?? "")}, expected one of ${COMMANDS.join(", ")}`,
    );
  }
  for (const name of REQUIRED[command]) if (!getenv(name)) throw invalidEnvironment(`${name} is required for ${command}`);
  const args = parseCniArgs(getenv("CNI_ARGS") ?? "");
  const config = parseConfig(stdin, command);
  return {
    command,
    cniVersion: checkVersion(config.cniVersion, command),
    config,
    containerId: getenv("CNI_CONTAINERID") ?? "",
    netns: getenv("CNI_NETNS") ?? "",
    pod: {
      name: args.get("K8S_POD_NAME") ?? "",
      namespace: args.get("K8S_POD_NAMESPACE") ?? "",
      uid: args.get("K8S_POD_UID") ?? "",
    },
    addresses: command === "ADD" || command === "CHECK" ? podAddresses(config.prevResult) : [],
  };
}

function parseConfig(stdin: string, command: CniCommand): NetworkConfig {
  if (command === "VERSION" && stdin.trim() === "") return networkConfigSchema.parse({ cniVersion: LATEST_CNI_VERSION });
  let json: unknown;
  try {
    json = JSON.parse(stdin);
  } catch (error) {
    throw pluginError("CNI_PLUGIN_INPUT_UNDECODABLE", "Standard input is not JSON", error);
  }
  return checked(networkConfigSchema, json, "network configuration");
}

/** Addresses that sit on an interface inside the sandbox; interfaces of the node are in the result as well and do not count. */
function podAddresses(prevResult: unknown): PodAddress[] {
  if (prevResult === undefined) return [];
  const result = checked(resultSchema, prevResult, "prevResult");
  const inSandbox = (index: number | undefined) => index === undefined || (result.interfaces[index]?.sandbox ?? "") !== "";
  return result.ips
    .filter((ip) => inSandbox(ip.interface))
    .map((ip) => ({ interface: ip.interface, cidr: ip.address, gateway: ip.gateway }));
}

function checked<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join(".") || "(whole)"}: ${issue.message}`).join("; ");
  throw pluginError("CNI_PLUGIN_CONFIG_INVALID", `Invalid ${what}: ${problems}`, result.error);
}

function checkVersion(text: string, command: CniCommand): CniVersion {
  const version = CNI_VERSIONS.find((known) => known === text);
  if (version !== undefined && (command === "VERSION" || CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(SINCE[command]))) {
    return version;
  }
  // VERSION answers whatever it is asked: the answer says what we do speak.
  if (command === "VERSION") return LATEST_CNI_VERSION;
  const reason = version === undefined ? `supported are ${CNI_VERSIONS.join(", ")}` : `${command} exists since ${SINCE[command]}`;
  throw pluginError("CNI_PLUGIN_VERSION_UNSUPPORTED", `CNI version ${text} cannot be served: ${reason}`);
}

function parseCniArgs(text: string): ReadonlyMap<string, string> {
  const args = new Map<string, string>();
  for (const pair of text.split(";").filter((part) => part !== "")) {
    const at = pair.indexOf("=");
    if (at <= 0) throw invalidEnvironment(`CNI_ARGS contains ${JSON.stringify(pair)}, expected key=value`);
    args.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return args;
}

function invalidEnvironment(message: string): MeshError {
  return pluginError("CNI_PLUGIN_ENVIRONMENT_INVALID", message);
}
