// Findings of `ambit check`: one table gives code, level, cause and remedy to the command, to `ambit help CODE` and to the docs.
import { cliError } from "./errors.ts";

export type Level = "error" | "warn" | "info";
export type Group = "node" | "control-plane" | "identity" | "data-plane" | "config";

interface FindingSpec {
  readonly level: Level;
  readonly group: Group;
  readonly title: string;
  readonly remedy: string;
}

export const findingTable = {
  "AMBIT-1001": {
    level: "error",
    group: "node",
    title: "This is not Linux",
    remedy: "Run the lab in a Linux virtual machine; the mesh itself runs on Linux nodes.",
  },
  "AMBIT-1002": {
    level: "error",
    group: "node",
    title: "Network namespaces cannot be created",
    remedy:
      "Run as root, or allow user namespaces to normal users: sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0",
  },
  "AMBIT-1003": {
    level: "error",
    group: "node",
    title: "A program that redirection needs is missing",
    remedy: "Install iptables, ipset and iproute2 with the system's package manager.",
  },
  "AMBIT-1101": {
    level: "error",
    group: "control-plane",
    title: "The control plane does not answer",
    remedy:
      "Look at its log (ambit lab logs istiod-lite); running connections go on with the last state that the proxies were sent.",
  },
  "AMBIT-1102": {
    level: "warn",
    group: "control-plane",
    title: "A node proxy has not acknowledged the newest configuration",
    remedy: "Wait a moment; if it stays, look at the proxy's log for the reason it refused (ambit lab logs ztunnel-NODE).",
  },
  "AMBIT-1201": {
    level: "error",
    group: "identity",
    title: "A workload certificate is not available",
    remedy: "New connections of that identity are refused. Look at the proxy's log for the certificate authority's answer.",
  },
  "AMBIT-1202": {
    level: "warn",
    group: "identity",
    title: "A workload certificate has used up most of its lifetime",
    remedy: "Renewal happens at half of the lifetime; look at the proxy's log for why it has failed since.",
  },
  "AMBIT-1301": {
    level: "error",
    group: "data-plane",
    title: "A node has no ready proxy",
    remedy: "Connections of enrolled pods on that node are refused, never sent in plaintext. Look at the proxy's log.",
  },
  "AMBIT-1302": {
    level: "error",
    group: "data-plane",
    title: "A pod is labelled for the mesh and not enrolled",
    remedy: "Its traffic is not encrypted or not accepted. Look at the node agent's log (ambit lab logs agent-NODE).",
  },
  "AMBIT-1303": {
    level: "error",
    group: "data-plane",
    title: "A node proxy has pods that it could not start listening for",
    remedy: "Look at the proxy's log for the reason of the refusal; it tries again every 5 s.",
  },
  "AMBIT-1401": {
    level: "error",
    group: "config",
    title: "An object was refused",
    remedy: "Correct the named field; the last good version of the object stays in force until then.",
  },
} as const satisfies Record<string, FindingSpec>;

export type FindingCode = keyof typeof findingTable;

export interface Finding {
  readonly code: FindingCode;
  readonly level: Level;
  readonly group: Group;
  /** What it is about, `kind/namespace/name` or a node. */
  readonly object: string;
  readonly cause: string;
  readonly remedy: string;
  readonly doc: string;
}

export function finding(code: FindingCode, object: string, cause: string): Finding {
  const { level, group, remedy } = findingTable[code];
  return { code, level, group, object, cause, remedy, doc: `docs/reference/checks.md#${code.toLowerCase()}` };
}

/** The text of `ambit help AMBIT-nnnn`. */
export function explainFinding(code: string): string {
  if (!Object.hasOwn(findingTable, code)) {
    throw cliError("CLI_USAGE", `${code} is not a finding; known are ${Object.keys(findingTable).join(", ")}`);
  }
  const { level, group, title, remedy } = findingTable[code as FindingCode];
  return `${code} (${level}, ${group}): ${title}\n${remedy}\n`;
}
