// The text form of packet filter rules: what iptables-save prints, read and compared.

export interface SavedChain {
  /** `-` for chains that are not built in. */
  readonly policy: string;
  /** Arguments of each rule, without `-A <chain>`. */
  readonly rules: readonly string[];
}

export type SavedTables = ReadonlyMap<string, ReadonlyMap<string, SavedChain>>;

/** Reads the output of iptables-save; comments and counters are dropped. */
export function parseSavedRules(text: string): SavedTables {
  const tables = new Map<string, Map<string, { policy: string; rules: string[] }>>();
  let table = new Map<string, { policy: string; rules: string[] }>();
  for (const raw of text.split("\n")) {
    const line = raw.trim().replace(/^\[\d+:\d+\] /, "");
    if (line.startsWith("*")) {
      // iptables-nft-save may print a table twice, once per kind of chain.
      table = tables.get(line.slice(1)) ?? new Map();
      tables.set(line.slice(1), table);
    } else if (line.startsWith(":")) {
      const [name = "", policy = "-"] = line.slice(1).split(" ");
      if (!table.has(name)) table.set(name, { policy, rules: [] });
    } else if (line.startsWith("-A ")) {
      const [, name = "", ...rest] = line.split(" ");
      const chain = table.get(name) ?? { policy: "-", rules: [] };
      table.set(name, chain);
      chain.rules.push(rest.join(" "));
    }
  }
  return tables;
}

/**
 * One rule in a form that does not depend on the order of its parts or on how a version of iptables prints them:
 * two rules with equal canonical forms match the same packets and do the same.
 */
export function canonicalRule(rule: string): string {
  const groups: string[] = [];
  let group: string[] = [];
  const close = () => {
    if (group.length > 0 && !isModuleLoad(group)) groups.push(canonicalGroup(group));
    group = [];
  };
  let negated = false;
  for (const token of splitWords(rule)) {
    if (token === "!") {
      close();
      negated = true;
    } else if (token.startsWith("-") && token !== "-") {
      if (!negated) close();
      group = negated ? ["!", token] : [token];
      negated = false;
    } else group.push(token);
  }
  close();
  return groups.sort().join(" ");
}

/** The chain that a rule hands packets to, when it does. */
export function ruleTarget(rule: string): string | undefined {
  const words = splitWords(rule);
  const at = words.findIndex((word) => word === "-j" || word === "-g" || word === "--jump" || word === "--goto");
  return at < 0 ? undefined : words[at + 1];
}

/** `-m tcp` and the like only make options available; the options themselves say what is matched. */
function isModuleLoad(group: readonly string[]): boolean {
  return group[0] === "-m" || group[0] === "--match";
}

const SPELLINGS: Readonly<Record<string, string>> = {
  "--source": "-s",
  "--destination": "-d",
  "--protocol": "-p",
  "--in-interface": "-i",
  "--out-interface": "-o",
  "--jump": "-j",
  "--destination-port": "--dport",
  "--source-port": "--sport",
  "--to-port": "--to-ports",
};

function canonicalGroup(group: readonly string[]): string {
  return group.map((word) => SPELLINGS[word] ?? canonicalValue(word)).join(" ");
}

function canonicalValue(word: string): string {
  if (/^\d+\.\d+\.\d+\.\d+\/32$/.test(word)) return word.slice(0, -3);
  if (word.includes(":") && word.endsWith("/128")) return word.slice(0, -4);
  return word.replace(/0x[0-9a-f]+/gi, (hex) => String(Number.parseInt(hex, 16)));
}

function splitWords(rule: string): string[] {
  return (rule.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []).map((word) => (word.startsWith('"') ? word.slice(1, -1) : word));
}
