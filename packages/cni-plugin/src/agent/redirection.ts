// Pure: a pod's settings to the packet filter rules that bring its traffic to the node proxy.
import { DNS_PORT, INBOUND_HBONE_PORT, INBOUND_PLAINTEXT_PORT, OUTBOUND_PORT, PROXY_MARK } from "@ambit/core";
import type { IpFamily } from "@ambit/linux";
import { agentError } from "./errors.ts";
import type { RuleSet, TableRules } from "./rule-set.ts";

/** One pod's choices, from its annotations and the agent's defaults. */
export interface RedirectionSettings {
  /** False in ingress mode: plaintext goes to the application untouched. */
  readonly captureInbound: boolean;
  readonly captureDns: boolean;
  /** Interfaces inside the pod whose traffic is outbound: virtual machines, nested containers. */
  readonly virtualInterfaces: readonly string[];
}

/** Where connections from the node itself (probes above all) appear to come from. */
export interface ProbeSources {
  readonly v4: string;
  readonly v6: string;
}

export const DEFAULT_PROBE_SOURCES: ProbeSources = { v4: "169.254.7.127", v6: "fd16:9254:7127:1337:ffff:ffff:ffff:ffff" };

const BYPASS_INBOUND_ANNOTATION = "ambient.istio.io/bypass-inbound-capture";
const DNS_CAPTURE_ANNOTATION = "ambient.istio.io/dns-capture";
const VIRTUAL_INTERFACES_ANNOTATION = "istio.io/reroute-virtual-interfaces";

const MARK_MASK = "0xfff";
const PACKET_MARK = `0x${PROXY_MARK.toString(16)}/${MARK_MASK}`;
/** On connections whose packets must return to the proxy, and on the packets themselves once it is restored. */
const REPLY_MARK = `0x111/${MARK_MASK}`;

/** Replies of an application to a client whose address the proxy borrowed are delivered locally by this table and rule. */
export const REPLY_ROUTE_TABLE = 100;
export const REPLY_RULE_PRIORITY = 32764;
export const REPLY_FWMARK = REPLY_MARK;

/**
 * Reads the pod's annotations. A boolean that cannot be parsed is ignored.
 * @throws CNI_ANNOTATION_INVALID for an interface name that no interface can have: the text would reach iptables
 * @source istio cni/pkg/nodeagent/podcgroupns.go, ambient-data-plane 2.6
 */
export function redirectionSettings(
  annotations: Readonly<Record<string, string>>,
  captureDnsByDefault: boolean,
): RedirectionSettings {
  const virtualInterfaces = (annotations[VIRTUAL_INTERFACES_ANNOTATION] ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  for (const name of virtualInterfaces) {
    if (!/^[A-Za-z0-9_.@-]{1,14}[A-Za-z0-9_.@+-]?$/.test(name)) {
      const said = JSON.stringify(name);
      throw agentError(
        "CNI_ANNOTATION_INVALID",
        `Annotation ${VIRTUAL_INTERFACES_ANNOTATION} names ${said}, which is no interface`,
      );
    }
  }
  return {
    captureInbound: !(parseGoBool(annotations[BYPASS_INBOUND_ANNOTATION]) ?? false),
    captureDns: parseGoBool(annotations[DNS_CAPTURE_ANNOTATION]) ?? captureDnsByDefault,
    virtualInterfaces,
  };
}

/** @source Go strconv.ParseBool */
function parseGoBool(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) return true;
  return ["0", "f", "F", "FALSE", "false", "False"].includes(text) ? false : undefined;
}

/**
 * The rules inside one pod. Order inside each chain is significant.
 * @source istio cni/pkg/iptables/iptables.go AppendInpodRules and testdata/*.golden
 */
export function inpodRules(settings: RedirectionSettings, probes: ProbeSources, family: IpFamily): RuleSet {
  const tables = [mangleRules(), natRules(settings, family === 4 ? probes.v4 : probes.v6, family)];
  if (settings.captureDns) tables.push(rawRules());
  return { family, tables };
}

/** Tags connections that the proxy opens towards the application, so that their replies come back to it. */
function mangleRules(): TableRules {
  return {
    table: "mangle",
    jumps: [
      { from: "PREROUTING", to: "ISTIO_PRERT", at: "end" },
      { from: "OUTPUT", to: "ISTIO_OUTPUT", at: "end" },
    ],
    chains: [
      { name: "ISTIO_PRERT", rules: [`-m mark --mark ${PACKET_MARK} -j CONNMARK --set-xmark ${REPLY_MARK}`] },
      {
        name: "ISTIO_OUTPUT",
        rules: [`-m connmark --mark ${REPLY_MARK} -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff`],
      },
    ],
  };
}

function natRules(settings: RedirectionSettings, probe: string, family: IpFamily): TableRules {
  const loopback = family === 4 ? "127.0.0.1/32" : "::1/128";
  const notProxy = `-m mark ! --mark ${PACKET_MARK}`;
  const inbound = [
    `-s ${probe} -p tcp -m tcp -j ACCEPT`,
    `! -d ${loopback} -p tcp -m tcp ! --dport ${INBOUND_HBONE_PORT} ${notProxy} -j REDIRECT --to-ports ${INBOUND_PLAINTEXT_PORT}`,
  ];
  const dns = [
    `! -o lo -p udp ${notProxy} -m udp --dport 53 -j REDIRECT --to-ports ${DNS_PORT}`,
    `! -d ${loopback} -p tcp -m tcp --dport 53 ${notProxy} -j REDIRECT --to-ports ${DNS_PORT}`,
  ];
  return {
    table: "nat",
    jumps: [
      { from: "OUTPUT", to: "ISTIO_OUTPUT", at: "end" },
      { from: "PREROUTING", to: "ISTIO_PRERT", at: "end" },
    ],
    chains: [
      {
        name: "ISTIO_PRERT",
        rules: [
          ...settings.virtualInterfaces.flatMap((name) => [
            `-i ${name} -p tcp -j REDIRECT --to-ports ${OUTBOUND_PORT}`,
            `-i ${name} -p tcp -j RETURN`,
          ]),
          ...(settings.captureInbound ? inbound : []),
        ],
      },
      {
        name: "ISTIO_OUTPUT",
        rules: [
          `-d ${probe} -p tcp -m tcp -j ACCEPT`,
          ...(settings.captureDns ? dns : []),
          `-p tcp -m mark --mark ${REPLY_MARK} -j ACCEPT`,
          `! -d ${loopback} -o lo -j ACCEPT`,
          `! -d ${loopback} -p tcp ${notProxy} -j REDIRECT --to-ports ${OUTBOUND_PORT}`,
        ],
      },
    ],
  };
}

/** Keeps the proxy's own DNS queries in a connection tracking zone of their own: their 5-tuples may equal the application's. */
function rawRules(): TableRules {
  return {
    table: "raw",
    jumps: [
      { from: "PREROUTING", to: "ISTIO_PRERT", at: "end" },
      { from: "OUTPUT", to: "ISTIO_OUTPUT", at: "end" },
    ],
    chains: [
      { name: "ISTIO_PRERT", rules: [`-p udp -m mark ! --mark ${PACKET_MARK} -m udp --sport 53 -j CT --zone 1`] },
      { name: "ISTIO_OUTPUT", rules: [`-p udp -m mark --mark ${PACKET_MARK} -m udp --dport 53 -j CT --zone 1`] },
    ],
  };
}

/**
 * The rule in the node's own namespace: what a process of the node sends to an enrolled pod gets the probe source.
 * @source istio cni/pkg/iptables/iptables.go CreateHostRulesForHealthChecks
 */
export function hostRules(addressSet: string, probe: string, family: IpFamily): RuleSet {
  return {
    family,
    tables: [
      {
        table: "nat",
        jumps: [{ from: "POSTROUTING", to: "ISTIO_POSTRT", at: "start" }],
        chains: [
          {
            name: "ISTIO_POSTRT",
            rules: [`-m owner --socket-exists -p tcp -m set --match-set ${addressSet} dst -j SNAT --to-source ${probe}`],
          },
        ],
      },
    ],
  };
}
