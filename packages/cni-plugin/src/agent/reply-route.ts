// The routing rule that brings an application's replies back to the proxy that borrowed the client's address.
import { MeshError } from "@ambit/core";
import { type IpFamily, type Netns, type RunCommand, runChecked } from "@ambit/linux";
import { REPLY_FWMARK, REPLY_ROUTE_TABLE, REPLY_RULE_PRIORITY } from "./redirection.ts";

const RULE = `fwmark ${REPLY_FWMARK} lookup ${REPLY_ROUTE_TABLE}`;
const RULE_LINE = new RegExp(`^${REPLY_RULE_PRIORITY}:\\s.*${RULE}\\b`, "m");

export interface ReplyRoute {
  readonly family: IpFamily;
  readonly rule: boolean;
  readonly route: boolean;
  /** With IPv6 switched off on the loopback device it takes no route, and nothing needs one. */
  readonly routeImpossible: boolean;
}

/** @throws LINUX_COMMAND_FAILED when the namespace's rules cannot be read */
export async function readReplyRoute(run: RunCommand, netns: Netns, family: IpFamily): Promise<ReplyRoute> {
  // A table that never held a route is an error to ip and means the same as an empty one: it goes on and fails at the end.
  const input = `rule show\nroute show table ${REPLY_ROUTE_TABLE}\n`;
  const shown = await run("ip", [`-${family}`, "-force", "-batch", "-"], { netns, input });
  if (!/\blookup local\b/.test(shown.stdout)) {
    throw new MeshError("LINUX_COMMAND_FAILED", `ip -${family} rule show failed: ${shown.stderr.trim() || "it shows no rule"}`);
  }
  const route = /^local default dev lo\b/m.test(shown.stdout);
  const routeImpossible = !route && family === 6 && (await isIpv6Off(run, netns));
  return { family, rule: RULE_LINE.test(shown.stdout), route, routeImpossible };
}

/** What is missing, in words. */
export function missingReplyRoute(found: ReplyRoute): string[] {
  const missing: string[] = [];
  if (!found.rule) missing.push(`IPv${found.family} rule "${RULE}" is missing`);
  if (!found.route && !found.routeImpossible)
    missing.push(`IPv${found.family} local route in table ${REPLY_ROUTE_TABLE} is missing`);
  return missing;
}

/** Adds what `found` lacks. */
export async function addReplyRoute(run: RunCommand, netns: Netns, found: ReplyRoute): Promise<void> {
  const lines: string[] = [];
  if (!found.route && !found.routeImpossible) {
    const what = found.family === 4 ? "0.0.0.0/0 dev lo scope host" : "::/0 dev lo";
    lines.push(`route replace local ${what} table ${REPLY_ROUTE_TABLE}`);
  }
  if (!found.rule) lines.push(`rule add ${RULE} priority ${REPLY_RULE_PRIORITY}`);
  await batch(run, netns, found.family, lines);
}

export async function removeReplyRoute(run: RunCommand, netns: Netns, found: ReplyRoute): Promise<void> {
  const lines: string[] = [];
  if (found.rule) lines.push(`rule del ${RULE} priority ${REPLY_RULE_PRIORITY}`);
  if (found.route) lines.push(`route flush table ${REPLY_ROUTE_TABLE}`);
  await batch(run, netns, found.family, lines);
}

async function isIpv6Off(run: RunCommand, netns: Netns): Promise<boolean> {
  const value = await run("cat", ["/proc/sys/net/ipv6/conf/lo/disable_ipv6"], { netns });
  return value.exitCode !== 0 || value.stdout.trim() === "1";
}

async function batch(run: RunCommand, netns: Netns, family: IpFamily, lines: readonly string[]): Promise<void> {
  if (lines.length > 0) await runChecked(run, "ip", [`-${family}`, "-batch", "-"], { netns, input: `${lines.join("\n")}\n` });
}
