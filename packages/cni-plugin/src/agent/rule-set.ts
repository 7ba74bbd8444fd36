// A set of packet filter rules as data: compared with what is in the kernel, and turned into iptables-restore text.
import { canonicalRule, type IpFamily, ruleTarget, type SavedTables } from "@ambit/linux";

export interface RuleSet {
  readonly family: IpFamily;
  /** Written in this order. */
  readonly tables: readonly TableRules[];
}

export interface TableRules {
  readonly table: "filter" | "mangle" | "nat" | "raw";
  readonly jumps: readonly Jump[];
  readonly chains: readonly { readonly name: string; readonly rules: readonly string[] }[];
}

/** From a built-in chain into one of ours. */
interface Jump {
  readonly from: string;
  readonly to: string;
  readonly at: "start" | "end";
}

export interface Comparison {
  /** Anything of ours exists. */
  readonly residue: boolean;
  /** What is missing, different or too much, in words; empty when the kernel holds exactly the rule set. */
  readonly differences: readonly string[];
}

/** Chains of ours are recognised by their name, also those that another version made. */
const OWN_CHAIN = /^ISTIO_/;
const GUARD_CHAIN = "ISTIO_GUARD";

/** @source istio cni/pkg/iptables/iptables.go VerifyIptablesState */
export function compareRules(expected: RuleSet, saved: SavedTables): Comparison {
  const differences: string[] = [];
  let residue = false;
  const tables = new Set([...expected.tables.map((table) => table.table), ...saved.keys()]);
  for (const table of tables) {
    const want = expected.tables.find((candidate) => candidate.table === table);
    for (const [chain, { rules }] of saved.get(table) ?? []) {
      if (OWN_CHAIN.test(chain)) residue = true;
      const wanted = want?.chains.find((candidate) => candidate.name === chain)?.rules;
      if (!OWN_CHAIN.test(chain)) {
        const jumps = rules.filter(leadsToUs);
        residue ||= jumps.length > 0;
        differences.push(...compareJumps(table, chain, jumps, want?.jumps.filter((jump) => jump.from === chain) ?? []));
      } else if (wanted === undefined) differences.push(`${table} ${chain} should not exist`);
      else differences.push(...compareChain(table, chain, rules, wanted));
    }
    for (const { name } of want?.chains ?? []) if (!saved.get(table)?.has(name)) differences.push(`${table} ${name} is missing`);
    for (const { from, to } of want?.jumps ?? []) {
      if (!saved.get(table)?.has(from)) differences.push(`${table} ${from} does not lead to ${to}`);
    }
  }
  return { residue, differences };
}

function compareJumps(table: string, chain: string, jumps: readonly string[], wanted: readonly Jump[]): string[] {
  const differences: string[] = [];
  for (const { to } of wanted) {
    const count = jumps.filter((rule) => canonicalRule(rule) === `-j ${to}`).length;
    if (count === 0) differences.push(`${table} ${chain} does not lead to ${to}`);
    if (count > 1) differences.push(`${table} ${chain} leads to ${to} ${count} times`);
  }
  const strangers = jumps.filter((rule) => !wanted.some(({ to }) => canonicalRule(rule) === `-j ${to}`));
  return [...differences, ...strangers.map((rule) => `${table} ${chain} has the unexpected rule ${rule}`)];
}

function compareChain(table: string, chain: string, rules: readonly string[], wanted: readonly string[]): string[] {
  const differences: string[] = [];
  for (let i = 0; i < Math.max(rules.length, wanted.length); i++) {
    const [found, expected] = [rules[i], wanted[i]];
    if (found !== undefined && expected !== undefined && canonicalRule(found) === canonicalRule(expected)) continue;
    differences.push(`${table} ${chain} rule ${i + 1} is ${found ?? "missing"}, expected ${expected ?? "none"}`);
  }
  return differences;
}

function leadsToUs(rule: string): boolean {
  return OWN_CHAIN.test(ruleTarget(rule) ?? "");
}

/** Text that puts the set in place. Our chains are replaced as a whole; a jump that `saved` already has is not repeated. */
export function applyText(rules: RuleSet, saved: SavedTables): string {
  return rules.tables
    .map(({ table, jumps, chains }) => {
      const present = (jump: Jump) =>
        saved
          .get(table)
          ?.get(jump.from)
          ?.rules.some((rule) => canonicalRule(rule) === `-j ${jump.to}`) ?? false;
      return block(table, [
        ...chains.map(({ name }) => `:${name} - [0:0]`),
        ...jumps
          .filter((jump) => !present(jump))
          .map((jump) => (jump.at === "start" ? `-I ${jump.from} 1 -j ${jump.to}` : `-A ${jump.from} -j ${jump.to}`)),
        ...chains.flatMap(({ name, rules }) => rules.map((rule) => `-A ${name} ${rule}`)),
      ]);
    })
    .join("");
}

/** Text that takes out everything of ours that `saved` shows, except the guard rails when they shall stay; empty when there is nothing. */
export function removalText(saved: SavedTables, keepGuard: boolean): string {
  const ours = (chain: string) => OWN_CHAIN.test(chain) && !(keepGuard && chain === GUARD_CHAIN);
  let text = "";
  for (const [table, chains] of saved) {
    const own = [...chains.keys()].filter(ours);
    const jumps = [...chains].flatMap(([chain, { rules }]) =>
      ours(chain) ? [] : rules.filter((rule) => ours(ruleTarget(rule) ?? "")).map((rule) => `-D ${chain} ${rule}`),
    );
    // Every chain is emptied before any is deleted: one may still lead to another.
    const lines = [...jumps, ...own.map((chain) => `-F ${chain}`), ...own.map((chain) => `-X ${chain}`)];
    if (lines.length > 0) text += block(table, lines);
  }
  return text;
}

/** Guard rails: while rules are being repaired nothing passes, so that nothing can pass unredirected. */
export const guardRules: Omit<RuleSet, "family"> = {
  tables: [
    {
      table: "filter",
      jumps: ["INPUT", "FORWARD", "OUTPUT"].map((from) => ({ from, to: GUARD_CHAIN, at: "start" as const })),
      chains: [{ name: GUARD_CHAIN, rules: ["-p tcp -j DROP", "-p udp -j DROP"] }],
    },
  ],
};

function block(table: string, lines: readonly string[]): string {
  return `*${table}\n${lines.join("\n")}\nCOMMIT\n`;
}
