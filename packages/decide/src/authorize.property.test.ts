// Generated policies and connections against a second evaluator that shares no code with the first.
import assert from "node:assert/strict";
import test from "node:test";
import {
  type Authorization,
  type Cidr,
  type Clause,
  ipToBytes,
  type Match,
  namespacedHostname,
  type PolicyKey,
  type Rule,
  type ServiceAccountMatch,
  type StringMatch,
} from "@ambit/core";
import { identity, ip, match, seededRandom } from "@ambit/testkit";
import { authorize, type PolicySet } from "./authorize.ts";
import { explainAuthorization } from "./explain-authorization.ts";
import type { ConnectionFacts } from "./match.ts";

const PAIRS = 120_000;
const seed = Number(process.env["DECIDE_SEED"] ?? Date.now() % 2 ** 31);

// Small alphabets, so that rules hit and miss about equally often.
const NAMESPACES = ["a", "b", "ab"];
const ACCOUNTS = ["x", "y"];
const DOMAINS = ["cluster.local", "other.org"];
const IPS = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "11.0.0.1", "fd00::1", "fd00::2", "fd01::1", "::ffff:10.0.0.1"];
const PORTS = [80, 81, 8080];

test(`authorize() agrees with a naive evaluator and with explainAuthorization() on ${PAIRS} generated pairs`, () => {
  const chance = new Chance(seededRandom(seed));
  const counts = { allow: 0, explicit: 0, noneAllowed: 0, unknown: 0 };
  for (let i = 0; i < PAIRS; i++) {
    const set = chance.policySet();
    const facts = chance.facts();
    const expected = naiveVerdict(set, facts);
    const context = () => `DECIDE_SEED=${seed}, pair ${i}: ${JSON.stringify({ set, facts })}`;
    const verdict = authorize(set, facts);
    if ((verdict.kind === "deny" ? verdict.reason : "allow") !== expected) {
      assert.fail(`authorize() says ${JSON.stringify(verdict)}, naive ${expected}; ${context()}`);
    }
    const decision = explainAuthorization(set, facts);
    if (JSON.stringify(decision.outcome) !== JSON.stringify(verdict)) {
      assert.fail(`explainAuthorization() says ${JSON.stringify(decision.outcome)}; ${context()}`);
    }
    if (!decision.reasons.some((reason) => reason.decides)) assert.fail(`no reason decides; ${context()}`);
    if (expected === "allow") counts.allow++;
    else if (expected.startsWith("explicitly")) counts.explicit++;
    else if (expected.startsWith("policy")) counts.unknown++;
    else counts.noneAllowed++;
  }
  for (const [kind, count] of Object.entries(counts))
    assert.ok(count > PAIRS / 50, `only ${count} pairs were ${kind}; seed ${seed}`);
});

class Chance {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  policySet(): PolicySet {
    const unknown = this.#under(20) === 0 ? [namespacedHostname("ns", "missing") as string as PolicyKey] : [];
    return { policies: this.#list(4, (i) => this.#policy(i)), unknown };
  }

  facts(): ConnectionFacts {
    const known = this.#under(4) > 0;
    return {
      sourceIp: ip(this.#pick(IPS)),
      identity: known ? identity(this.#pick(NAMESPACES), this.#pick(ACCOUNTS), this.#pick(DOMAINS)) : undefined,
      destination: { ip: ip(this.#pick(IPS)), port: this.#pick(PORTS) },
    };
  }

  #policy(index: number): Authorization {
    return {
      name: `p${index}`,
      namespace: "ns",
      scope: "namespace",
      action: this.#under(2) === 0 ? "allow" : "deny",
      dryRun: this.#under(6) === 0,
      rules: this.#list(
        3,
        (): Rule => ({ clauses: this.#list(3, (): Clause => ({ matches: this.#list(2, () => this.#match()) })) }),
      ),
    };
  }

  #match(): Match {
    const rare = <T>(make: () => T): T[] => (this.#under(4) === 0 ? [make(), ...(this.#under(2) === 0 ? [make()] : [])] : []);
    return {
      ...match({}),
      namespaces: rare(() => this.#string(NAMESPACES)),
      notNamespaces: rare(() => this.#string(NAMESPACES)),
      principals: rare(() => this.#string(this.#principals())),
      notPrincipals: rare(() => this.#string(this.#principals())),
      serviceAccounts: rare(() => this.#serviceAccount()),
      notServiceAccounts: rare(() => this.#serviceAccount()),
      sourceIps: rare(() => this.#cidr()),
      notSourceIps: rare(() => this.#cidr()),
      destinationIps: rare(() => this.#cidr()),
      notDestinationIps: rare(() => this.#cidr()),
      destinationPorts: rare(() => this.#pick(PORTS)),
      notDestinationPorts: rare(() => this.#pick(PORTS)),
    };
  }

  #principals(): string[] {
    return [`${this.#pick(DOMAINS)}/ns/${this.#pick(NAMESPACES)}/sa/${this.#pick(ACCOUNTS)}`];
  }

  #string(values: readonly string[]): StringMatch {
    const value = this.#pick(values);
    const cut = this.#under(value.length + 1);
    switch (this.#under(4)) {
      case 0:
        return { kind: "presence" };
      case 1:
        return { kind: "prefix", value: value.slice(0, cut) };
      case 2:
        return { kind: "suffix", value: value.slice(cut) };
      default:
        return { kind: "exact", value };
    }
  }

  #serviceAccount(): ServiceAccountMatch {
    return { namespace: this.#pick(NAMESPACES), serviceAccount: this.#pick(ACCOUNTS) };
  }

  #cidr(): Cidr {
    const address = ip(this.#pick(IPS));
    return { address, length: this.#under(ipToBytes(address).length * 8 + 1) };
  }

  #list<T>(atMost: number, make: (index: number) => T): T[] {
    return Array.from({ length: this.#under(atMost + 1) }, (_, i) => make(i));
  }

  #pick<T>(values: readonly T[]): T {
    const value = values[this.#under(values.length)];
    if (value === undefined) throw new RangeError("Nothing to pick from");
    return value;
  }

  #under(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

/** "allow" or the reason. Written from the semantics, list by list, with another notion of blocks and strings. */
function naiveVerdict(set: PolicySet, facts: ConnectionFacts): string {
  if (set.unknown.length > 0) return `policy ${set.unknown[0]} is not yet known`;
  const real = set.policies.filter((policy) => !policy.dryRun);
  const matching = real.filter((policy) =>
    policy.rules.some((rule) => rule.clauses.every((clause) => naiveClause(clause, facts))),
  );
  const denying = matching.find((policy) => policy.action === "deny");
  if (denying !== undefined) return `explicitly denied by: ${denying.namespace}/${denying.name}`;
  if (real.every((policy) => policy.action === "deny")) return "allow";
  return matching.length > 0 ? "allow" : "allow policies exist, but none allowed";
}

function naiveClause(clause: Clause, facts: ConnectionFacts): boolean {
  return clause.matches.length === 0 || clause.matches.some((match) => naiveMatch(match, facts));
}

function naiveMatch(match: Match, facts: ConnectionFacts): boolean {
  if (Object.values(match).every((list: readonly unknown[]) => list.length === 0)) return false;
  const segments = facts.identity?.split("/");
  const namespace = segments?.[4] ?? "";
  const account = segments?.[6];
  const principal = segments?.slice(2).join("/");
  const hits: readonly [boolean[], boolean[]][] = [
    [match.namespaces.map((m) => naiveString(m, namespace)), match.notNamespaces.map((m) => naiveString(m, namespace))],
    [match.principals.map((m) => naiveString(m, principal)), match.notPrincipals.map((m) => naiveString(m, principal))],
    [
      match.serviceAccounts.map((m) => m.namespace === namespace && m.serviceAccount === account),
      match.notServiceAccounts.map((m) => m.namespace === namespace && m.serviceAccount === account),
    ],
    [match.sourceIps.map((m) => naiveCidr(m, facts.sourceIp)), match.notSourceIps.map((m) => naiveCidr(m, facts.sourceIp))],
    [
      match.destinationIps.map((m) => naiveCidr(m, facts.destination.ip)),
      match.notDestinationIps.map((m) => naiveCidr(m, facts.destination.ip)),
    ],
    [
      match.destinationPorts.map((m) => m === facts.destination.port),
      match.notDestinationPorts.map((m) => m === facts.destination.port),
    ],
  ];
  return hits.every(([positive, negative]) => (positive.length === 0 || positive.includes(true)) && !negative.includes(true));
}

function naiveString(match: StringMatch, text: string | undefined): boolean {
  if (text === undefined) return false;
  if (match.kind === "presence") return text.length > 0;
  const escaped = match.value.replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&");
  const pattern = { exact: `^${escaped}$`, prefix: `^${escaped}`, suffix: `${escaped}$` }[match.kind];
  return new RegExp(pattern).test(text);
}

const bitsByAddress = new Map<string, string>();

function naiveCidr(block: Cidr, address: ConnectionFacts["sourceIp"]): boolean {
  const [a, b] = [naiveBits(block.address), naiveBits(address)];
  return a.length === b.length && a.slice(0, block.length) === b.slice(0, block.length);
}

function naiveBits(address: ConnectionFacts["sourceIp"]): string {
  let bits = bitsByAddress.get(address);
  if (bits === undefined) {
    bits = [...ipToBytes(address)].map((byte) => byte.toString(2).padStart(8, "0")).join("");
    bitsByAddress.set(address, bits);
  }
  return bits;
}
