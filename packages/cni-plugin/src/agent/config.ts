// Configuration of the node agent: environment names are those of Istio's node agent where it has the same setting.
import { parseIp } from "@ambit/core";
import { type ConfigOf, type ConfigSpec, configTypes } from "@ambit/runtime";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { DEFAULT_SELECTORS } from "../eligibility.ts";
import { DEFAULT_PROBE_SOURCES } from "./redirection.ts";

const labels = z.record(z.string(), z.string()).default({});
const requirement = z.discriminatedUnion("operator", [
  z.strictObject({ key: z.string().min(1), operator: z.enum(["In", "NotIn"]), values: z.array(z.string()).min(1) }),
  z.strictObject({ key: z.string().min(1), operator: z.enum(["Exists", "DoesNotExist"]) }),
]);
const labelSelector = z
  .strictObject({ matchLabels: labels, matchExpressions: z.array(requirement).default([]) })
  .default({ matchLabels: {}, matchExpressions: [] });
const selectors = z.array(z.strictObject({ podSelector: labelSelector, namespaceSelector: labelSelector })).min(1);

const address = (family: 4 | 6) =>
  z.string().refine((text) => parseIp(text)?.includes(":") === (family === 6), { error: `must be an IPv${family} address` });

/** Text that is no YAML stays text, and the schema then says what was expected. */
function parsedYaml(value: unknown): unknown {
  if (typeof value !== "string") return value;
  try {
    return parseYaml(value);
  } catch {
    return value;
  }
}

export const agentConfigSpec = {
  nodeName: {
    env: ["NODE_NAME"],
    description: "Name of this node; only its pods are handled.",
    schema: configTypes.text(),
  },
  sourceDirectory: {
    env: ["SOURCE_DIR"],
    description: "Watched directory of Kubernetes objects as YAML.",
    schema: configTypes.text(),
  },
  systemNamespace: {
    env: ["SYSTEM_NAMESPACE", "POD_NAMESPACE"],
    description: "Namespace of the mesh's own components.",
    schema: configTypes.text().default("ambit-system"),
  },
  excludedNamespaces: {
    env: ["EXCLUDE_NAMESPACES"],
    description: "Namespaces whose pods are never enrolled, separated by commas.",
    schema: configTypes.list().default(["kube-system"]),
  },
  enablementSelectors: {
    env: ["AMBIENT_ENABLEMENT_SELECTOR"],
    description: "YAML list of podSelector and namespaceSelector pairs; any one that matches enrols a pod.",
    schema: z.preprocess(parsedYaml, selectors.default(DEFAULT_SELECTORS as z.output<typeof selectors>)),
  },
  captureDns: {
    env: ["AMBIENT_DNS_CAPTURE"],
    description: "Whether DNS of enrolled pods goes through the node proxy; pods may override it.",
    schema: configTypes.boolean(true),
  },
  ipv6: {
    env: ["AMBIENT_IPV6"],
    description: "Whether IPv6 is redirected too; switch it off on nodes whose kernel has no IPv6.",
    schema: configTypes.boolean(true),
  },
  reconcileOnStart: {
    env: ["AMBIENT_RECONCILE_POD_RULES_ON_STARTUP"],
    description: "Whether rules of enrolled pods that differ at start are repaired behind guard rails instead of overwritten.",
    schema: configTypes.boolean(true),
  },
  nativeNftables: {
    env: ["NATIVE_NFTABLES"],
    description: "Not supported: rules are written through iptables, whose nft backend works on nftables hosts.",
    schema: configTypes
      .boolean(false)
      .refine((value) => !value, { error: "is not supported; iptables-nft works on nftables hosts" }),
  },
  forceIptables: {
    env: ["FORCE_IPTABLES_BINARY"],
    description: "Backend of iptables instead of the detected one: legacy or nft.",
    schema: z.enum(["legacy", "nft"]).optional(),
  },
  scopedLocking: {
    env: ["AMBIENT_USE_SCOPED_XTABLES_LOCKING"],
    description: "Whether rules inside pods use a lock of their own instead of the machine's.",
    schema: configTypes.boolean(true),
  },
  probeSourceV4: {
    env: ["HOST_PROBE_SNAT_IP"],
    description: "Source address that connections of the node to enrolled pods get.",
    schema: address(4).default(DEFAULT_PROBE_SOURCES.v4),
  },
  probeSourceV6: {
    env: ["HOST_PROBE_SNAT_IPV6"],
    description: "The same for IPv6.",
    schema: address(6).default(DEFAULT_PROBE_SOURCES.v6),
  },
  runDirectory: {
    env: ["CNI_AGENT_RUN_DIR"],
    description: "Directory of the plugin socket and of our lock file.",
    schema: configTypes.text().default("/var/run/istio-cni"),
  },
  ztunnelSocket: {
    env: ["ZTUNNEL_UDS_ADDRESS"],
    description: "Socket at which node proxies learn their pods.",
    schema: configTypes.text().default("/var/run/ztunnel/ztunnel.sock"),
  },
  netnsDirectory: {
    env: ["NETNS_DIR"],
    description: "Directory where the container runtime mounts the network namespaces of pods.",
    schema: configTypes.text().default("/var/run/netns"),
  },
  procDirectory: {
    env: ["PROC_DIR"],
    description: "The node's /proc, searched for processes of pods.",
    schema: configTypes.text().default("/proc"),
  },
  driftCheckIntervalMs: {
    env: ["AMBIT_DRIFT_CHECK_INTERVAL"],
    description: "Pause between two checks of all rules on the node.",
    schema: configTypes.durationMs().default(30_000),
  },
  cleanUpOnStop: {
    env: ["AMBIT_CNI_CLEANUP"],
    description: "Whether stopping takes all rules out; otherwise they stay and pods remain closed to unredirected traffic.",
    schema: configTypes.boolean(false),
  },
  metricsPort: {
    env: ["MONITORING_PORT"],
    description: "Port of Prometheus metrics.",
    schema: configTypes.integer(0, 65535).default(15014),
  },
  healthPort: {
    env: ["AMBIT_CNI_HEALTH_PORT"],
    description: "Port of /healthz and /readyz.",
    schema: configTypes.integer(0, 65535).default(8000),
  },
  logFilter: {
    env: ["AMBIT_LOG_LEVEL"],
    description: "Log filter: a level, and exceptions by scope, such as info,cni:zds=debug.",
    schema: configTypes.logFilter("cni:zds=debug"),
  },
  logFormat: {
    env: ["LOG_FORMAT"],
    description: "Log lines as text or json.",
    schema: z.enum(["text", "json"]).default("text"),
  },
} satisfies ConfigSpec;

export type AgentConfig = ConfigOf<typeof agentConfigSpec>;
