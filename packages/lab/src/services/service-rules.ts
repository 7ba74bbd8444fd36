// Frontends → packet filter rules: one endpoint at random for each new connection, refusal where there is none.
import type { IpFamily } from "@ambit/linux";
import type { Frontend } from "./frontends.ts";

export const NAT_CHAIN = "LAB-SERVICES";
export const HAIRPIN_CHAIN = "LAB-HAIRPIN";
export const REJECT_CHAIN = "LAB-REJECT";

/**
 * Text for iptables-restore that replaces the lab's chains as a whole. Established connections keep their endpoint: the kernel
 * remembers it, and only a connection's first packet meets the nat table.
 */
export function serviceRules(frontends: readonly Frontend[], family: IpFamily): string {
  const nat = frontends.flatMap((frontend) =>
    frontend.endpoints.map(({ ip, port }, i) => {
      const left = frontend.endpoints.length - i;
      const chance = left === 1 ? "" : ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}`;
      return `-A ${NAT_CHAIN} ${match(frontend)}${chance} -j DNAT --to-destination ${hostPort(ip, port, family)}`;
    }),
  );
  // A pod that reaches itself through its Service must see somebody else's address, or it would answer itself directly.
  const own = [...new Set(frontends.flatMap(({ endpoints }) => endpoints.map(({ ip }) => ip)))].sort();
  const hairpin = own.map((ip) => `-A ${HAIRPIN_CHAIN} -s ${ip} -d ${ip} -j MASQUERADE`);
  const reject = frontends
    .filter(({ endpoints }) => endpoints.length === 0)
    .map(
      (frontend) =>
        `-A ${REJECT_CHAIN} ${match(frontend)} -j REJECT${frontend.protocol === "tcp" ? " --reject-with tcp-reset" : ""}`,
    );
  return lines(
    "*nat",
    `:${NAT_CHAIN} - [0:0]`,
    `:${HAIRPIN_CHAIN} - [0:0]`,
    ...nat,
    ...hairpin,
    "COMMIT",
    "*filter",
    `:${REJECT_CHAIN} - [0:0]`,
    ...reject,
    "COMMIT",
  );
}

/** Where the kernel comes by the chains; applied once, before the first serviceRules. */
export function entryRules(): string {
  return lines(
    "*nat",
    `:${NAT_CHAIN} - [0:0]`,
    `:${HAIRPIN_CHAIN} - [0:0]`,
    `-A PREROUTING -j ${NAT_CHAIN}`,
    `-A OUTPUT -j ${NAT_CHAIN}`,
    `-A POSTROUTING -j ${HAIRPIN_CHAIN}`,
    "COMMIT",
    "*filter",
    `:${REJECT_CHAIN} - [0:0]`,
    `-A FORWARD -j ${REJECT_CHAIN}`,
    `-A OUTPUT -j ${REJECT_CHAIN}`,
    "COMMIT",
  );
}

function match({ ip, port, protocol }: Frontend): string {
  return `-d ${ip} -p ${protocol} -m ${protocol} --dport ${port}`;
}

function hostPort(ip: string, port: number, family: IpFamily): string {
  return family === 6 ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function lines(...all: readonly string[]): string {
  return `${all.join("\n")}\n`;
}
