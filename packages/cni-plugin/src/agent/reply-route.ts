// The routing rule that brings an application's replies back to the proxy that borrowed the client's address.
import { type IpFamily, type Netns, type RunCommand, runChecked } from "@ambit/linux";
import { REPLY_FWMARK, REPLY_ROUTE_TABLE, REPLY_RULE_PRIORITY } from "./redirection.ts";

const RULE = `fwmark ${REPLY_FWMARK} lookup ${REPLY_ROUTE_TABLE}`;

/** What is missing of rule and route in this namespace, in words. */
export async function missingReplyRoute(run: RunCommand, netns: Netns, family: IpFamily): Promise<string[]> {
  const state = await readState(run, netns, family);
  const missing: string[] = [];
  if (!state.rule) missing.push(`IPv${family} rule "${RULE}" is missing`);
  if (!state.route && !state.routeImpossible) missing.push(`IPv${family} local route in table ${REPLY_ROUTE_TABLE} is missing`);
  return missing;
}

/** Idempotent. */
export async function ensureReplyRoute(run: RunCommand, netns: Netns, family: IpFamily): Promise<void> {
  const state = await readState(run, netns, family);
  const lines: string[] = [];
  const everywhere = family === 4 ? "0.0.0.0/0" : "::/0";
  if (!state.route && !state.routeImpossible) {
    lines.push(`route replace local ${everywhere} dev lo table ${REPLY_ROUTE_TABLE}${family === 4 ? " scope host" : ""}`);
  }
  if (!state.rule) lines.push(`rule add ${RULE} priority ${REPLY_RULE_PRIORITY}`);
  await batch(run, netns, family, lines);
}

/** Idempotent. */
export async function removeReplyRoute(run: RunCommand, netns: Netns, family: IpFamily): Promise<void> {
  const state = await readState(run, netns, family);
  const lines: string[] = [];
  if (state.rule) lines.push(`rule del ${RULE} priority ${REPLY_RULE_PRIORITY}`);
  if (state.route) lines.push(`route flush table ${REPLY_ROUTE_TABLE}`);
  await batch(run, netns, family, lines);
}

interface State {
  readonly rule: boolean;
  readonly route: boolean;
  /** With IPv6 switched off on the loopback device it takes no route, and nothing needs one. */
  readonly routeImpossible: boolean;
}

async function readState(run: RunCommand, netns: Netns, family: IpFamily): Promise<State> {
  const rules = await runChecked(run, "ip", [`-${family}`, "rule", "show"], { netns });
  // A table that never held a route is an error to ip and means the same as an empty one.
  const routes = await run("ip", [`-${family}`, "route", "show", "table", String(REPLY_ROUTE_TABLE)], { netns });
  const route = /^local default dev lo\b/m.test(routes.stdout);
  return {
    rule: new RegExp(`^${REPLY_RULE_PRIORITY}:\\s.*fwmark ${REPLY_FWMARK} lookup ${REPLY_ROUTE_TABLE}\\b`, "m").test(rules),
    route,
    routeImpossible: !route && family === 6 && (await isIpv6Off(run, netns)),
  };
}

async function isIpv6Off(run: RunCommand, netns: Netns): Promise<boolean> {
  const value = await run("cat", ["/proc/sys/net/ipv6/conf/lo/disable_ipv6"], { netns });
  return value.exitCode !== 0 || value.stdout.trim() === "1";
}

async function batch(run: RunCommand, netns: Netns, family: IpFamily, lines: readonly string[]): Promise<void> {
  if (lines.length > 0) await runChecked(run, "ip", [`-${family}`, "-batch", "-"], { netns, input: `${lines.join("\n")}\n` });
}
