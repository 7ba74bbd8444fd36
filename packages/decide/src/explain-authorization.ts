// The reasons of an authorization verdict, in order, and the rule that came closest to the other outcome.
import { policyKey } from "@ambit/core";
import {
  type ClauseTrace,
  evaluate,
  type MatchTrace,
  type PolicySet,
  type PolicyTrace,
  type RuleTrace,
  type Verdict,
} from "./authorize.ts";
import type { Decision, NearMiss, Reason } from "./decision.ts";
import { type Check, type ConnectionFacts, sideOf, subjectOf } from "./match.ts";

/** The verdict that `authorize` gives, with every rule's checks and the rule that came closest to the other outcome. */
export function explainAuthorization(set: PolicySet, facts: ConnectionFacts): Decision<Verdict> {
  const trace: PolicyTrace[] = [];
  const outcome = evaluate(set, subjectOf(facts), undefined, trace);
  const explicit = outcome.kind === "deny" && outcome.policy !== undefined;
  const near = explicit ? undefined : nearestRule(outcome, trace);
  const nearMiss = explicit ? wayPastDenials(set, trace) : near?.nearMiss;
  const reasons: Reason[] = [];
  for (const key of set.unknown) {
    const finding = "attached to the workload and not yet known: nothing is allowed until it arrives";
    reasons.push({ subject: `policy ${key}`, finding, decides: key === set.unknown[0] });
  }
  let decided = set.unknown.length > 0;
  for (const policy of trace) {
    const decides = !decided && policy.holds && !policy.policy.dryRun;
    decided ||= decides;
    reasons.push(...policyReasons(policy, decides, outcome.kind === "deny" ? near?.rule : undefined));
  }
  if (!decided) reasons.push(fallbackReason(outcome, trace.length, !reasons.some((reason) => reason.decides)));
  return nearMiss === undefined ? { outcome, reasons } : { outcome, reasons, nearMiss };
}

/** What stands between an explicit denial and being allowed: each denying policy, and an ALLOW rule when none matches. */
function wayPastDenials(set: PolicySet, trace: readonly PolicyTrace[]): NearMiss | undefined {
  if (set.unknown.length > 0) return undefined;
  const denials = trace.filter(({ policy, holds }) => policy.action === "deny" && holds && !policy.dryRun);
  const keys = denials.map(({ policy }) => policyKey(policy.namespace, policy.name));
  const conditions = denials.map(({ rules }, i) => `policy ${keys[i]} ${holdingRules(rules)} did not match`);
  const allows = trace.filter(({ policy }) => policy.action === "allow" && !policy.dryRun);
  const blocked = allows.length > 0 && !allows.some(({ holds }) => holds);
  const text = `${keys.join(" and ")} ${keys.length === 1 ? "denies" : "deny"}${blocked ? ", and no ALLOW policy matches either" : ""}`;
  if (blocked) conditions.push("an ALLOW rule matched");
  return { text, remedy: `would be allowed if: ${conditions.join(" and ")}` };
}

function holdingRules(rules: readonly RuleTrace[]): string {
  return rules.flatMap((rule, i) => (rule.holds ? [`rule[${i}]`] : [])).join(", ");
}

/** What is left to say when no policy matched. */
function fallbackReason(outcome: Verdict, policies: number, decides: boolean): Reason {
  if (outcome.kind === "deny") return { subject: "verdict", finding: outcome.reason, decides };
  const finding = policies === 0 ? "no policy applies: allowed" : "no policy denies and no ALLOW policy applies: allowed";
  return { subject: "verdict", finding, decides };
}

function policyReasons({ policy, holds, rules }: PolicyTrace, decides: boolean, near: RuleTrace | undefined): Reason[] {
  const action = policy.action.toUpperCase();
  const count = rules.length === 0 ? "no rules, never matches" : `${rules.length} ${rules.length === 1 ? "rule" : "rules"}`;
  const dryRun = policy.dryRun ? ", dry run: does not decide" : "";
  const reasons: Reason[] = [
    {
      subject: `policy ${policyKey(policy.namespace, policy.name)}`,
      finding: `${action}, ${count}${dryRun}: ${holds ? "matches" : "does not match"}`,
      decides,
    },
  ];
  for (const [i, rule] of rules.entries()) reasons.push(...ruleReasons(rule, `rule[${i}]`, rule === near));
  return reasons;
}

/** The lists of one rule; in the nearest rule of a denial those that failed decide. */
function ruleReasons(rule: RuleTrace, name: string, isNear: boolean): Reason[] {
  if (rule.clauses.length === 0) return [{ subject: name, finding: "empty, matches everything", decides: false }];
  return eachCheck(rule, name).map(({ subject, check, clause }) => ({
    subject: `${subject} ${check.values}`,
    finding: findingOf(check),
    decides: isNear && !check.holds && !clause.holds,
  }));
}

function findingOf({ negative, holds, actual }: Check): string {
  if (negative) return holds ? `${actual} is not among them` : `${actual} is excluded`;
  return holds ? "matches" : `${actual} does not match`;
}

interface NamedCheck {
  /** "rule[0].to ports" */
  readonly subject: string;
  /** "rule[0].to.ports" */
  readonly path: string;
  readonly check: Check;
  readonly clause: ClauseTrace;
  readonly match: MatchTrace;
}

function eachCheck(rule: RuleTrace, ruleName: string): NamedCheck[] {
  const names = clauseNames(rule.clauses);
  return rule.clauses.flatMap((clause, i) =>
    clause.matches.flatMap((match, j) => {
      const prefix = `${ruleName}.${names[i] ?? "when"}${clause.matches.length > 1 ? `[${j}]` : ""}`;
      return match.checks.map((check) => ({
        subject: `${prefix} ${check.field}`,
        path: `${prefix}.${check.field}`,
        check,
        clause,
        match,
      }));
    }),
  );
}

/** Translation puts `to` and `from` first, in either order, then each `when`; the first clause of each side is read as such. */
function clauseNames(clauses: readonly ClauseTrace[]): string[] {
  let whens = 0;
  const open = new Set(["from", "to"]);
  return clauses.map((clause) => {
    const sides = new Set(clause.matches.map((match) => sideOf(match.match)));
    const side = sides.size === 1 ? [...sides][0] : "both";
    const name = side === "source" ? "from" : side === "destination" ? "to" : "when";
    if (open.delete(name)) return name;
    open.clear();
    return `when[${whens++}]`;
  });
}

interface Nearest {
  readonly rule: RuleTrace;
  readonly nearMiss: NearMiss;
}

/** The rule of the other outcome with the fewest failed lists, when at least one list of it held or only one failed. */
function nearestRule(outcome: Verdict, trace: readonly PolicyTrace[]): Nearest | undefined {
  const wanted = outcome.kind === "allow" ? "deny" : "allow";
  let best: { policy: PolicyTrace; index: number; rule: RuleTrace; failed: NamedCheck[] } | undefined;
  for (const policy of trace) {
    if (policy.policy.action !== wanted || policy.policy.dryRun || policy.holds) continue;
    for (const [index, rule] of policy.rules.entries()) {
      const failed = failedChecks(rule, `rule[${index}]`);
      if (failed.length > 0 && (best === undefined || failed.length < best.failed.length)) best = { policy, index, rule, failed };
    }
  }
  if (best === undefined) return undefined;
  const { policy, index, rule, failed } = best;
  // An unmet DENY is worth a word only when it nearly fired.
  if (wanted === "deny" && failed.length > 1) return undefined;
  const key = policyKey(policy.policy.namespace, policy.policy.name);
  const fields = failed.map(({ check }) => check.field).join(" and the ");
  const conditions = failed.map(
    ({ path, check }) => `${path} ${check.negative ? "did not contain" : "contained"} ${check.actual}`,
  );
  return {
    rule,
    nearMiss: {
      text: `rule[${index}] of policy ${key} matched all but the ${fields}`,
      remedy: `would be ${wanted === "allow" ? "allowed" : "denied"} if: ${conditions.join(" and ")}`,
    },
  };
}

/** The fewest lists that would have to change for the rule to hold: per failed clause those of its closest match. */
function failedChecks(rule: RuleTrace, name: string): NamedCheck[] {
  const checks = eachCheck(rule, name);
  return rule.clauses.flatMap((clause) => {
    if (clause.holds) return [];
    let best: NamedCheck[] | undefined;
    for (const match of clause.matches) {
      const failed = checks.filter((named) => named.match === match && !named.check.holds);
      if (failed.length > 0 && (best === undefined || failed.length < best.length)) best = failed;
    }
    return best ?? [];
  });
}
