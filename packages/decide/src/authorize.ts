// (policies, connection facts) to allow or deny: one evaluator, with or without the reasons.
import { type Authorization, type Clause, type Match, type PolicyKey, policyKey, type Rule, type Workload } from "@ambit/core";
import { type Check, type ConnectionFacts, matchHolds, type Subject, subjectOf } from "./match.ts";
import type { MeshView } from "./mesh-view.ts";

/** What applies to one workload. */
export interface PolicySet {
  readonly policies: readonly Authorization[];
  /** Attached to the workload by name, but not received. While any is missing, nothing is allowed. */
  readonly unknown: readonly PolicyKey[];
}

export type Verdict =
  | { readonly kind: "allow" }
  /** `reason` is what the access line prints; `policy` is absent when no single policy denies. */
  | { readonly kind: "deny"; readonly reason: string; readonly policy?: PolicyKey };

/** What the evaluator found out about each policy, when asked to leave a trace. */
export interface PolicyTrace {
  readonly policy: Authorization;
  holds: boolean;
  readonly rules: RuleTrace[];
}

export interface RuleTrace {
  holds: boolean;
  readonly clauses: ClauseTrace[];
}

export interface ClauseTrace {
  holds: boolean;
  readonly matches: MatchTrace[];
}

export interface MatchTrace {
  holds: boolean;
  readonly match: Match;
  readonly checks: Check[];
}

const ALLOW: Verdict = Object.freeze({ kind: "allow" });
const NONE_ALLOWED: Verdict = Object.freeze({ kind: "deny", reason: "allow policies exist, but none allowed" });

/**
 * The policies of the workload's namespace, of the whole mesh, and those attached to the workload by name.
 * @source ztunnel src/state.rs assert_rbac, except that a name without policy fails closed here
 */
export function policiesFor(view: MeshView, workload: Workload): PolicySet {
  const ofNamespace = view.policiesOfNamespace(workload.namespace);
  const global = view.globalPolicies();
  const names = workload.authorizationPolicies;
  if (names.length === 0 && global.length === 0) return { policies: ofNamespace, unknown: [] };
  const policies = [...ofNamespace, ...global];
  const unknown: PolicyKey[] = [];
  for (const name of names) {
    const policy = view.policy(name);
    if (policy === undefined) unknown.push(name);
    else if (!policies.includes(policy)) policies.push(policy);
  }
  return { policies, unknown };
}

/**
 * The verdict alone; builds no reasons.
 * @param onDryRun is told of each dry-run policy that matches; such policies never decide
 * @source ztunnel src/state.rs assert_rbac
 */
export function authorize(set: PolicySet, facts: ConnectionFacts, onDryRun?: (policy: Authorization) => void): Verdict {
  return evaluate(set, subjectOf(facts), onDryRun, undefined);
}

/**
 * Order: what is missing, DENY, then ALLOW. With a trace everything is visited and written down;
 * without one the first answer ends the walk. The verdict is the same.
 */
export function evaluate(
  set: PolicySet,
  subject: Subject,
  onDryRun: ((policy: Authorization) => void) | undefined,
  trace: PolicyTrace[] | undefined,
): Verdict {
  const missing = set.unknown[0];
  let verdict: Verdict | undefined;
  if (missing !== undefined) {
    verdict = { kind: "deny", reason: `policy ${missing} is not yet known`, policy: missing };
    if (trace === undefined) return verdict;
  }
  for (const policy of set.policies) {
    if (policy.action !== "deny" || !policyMatches(policy, subject, onDryRun, trace) || verdict !== undefined) continue;
    verdict = denied(policy);
    if (trace === undefined) return verdict;
  }
  let allowPolicies = false;
  for (const policy of set.policies) {
    if (policy.action !== "allow") continue;
    allowPolicies ||= !policy.dryRun;
    if (!policyMatches(policy, subject, onDryRun, trace) || verdict !== undefined) continue;
    verdict = ALLOW;
    if (trace === undefined) return verdict;
  }
  return verdict ?? (allowPolicies ? NONE_ALLOWED : ALLOW);
}

function denied(policy: Authorization): Verdict {
  const key = policyKey(policy.namespace, policy.name);
  return { kind: "deny", reason: `explicitly denied by: ${key}`, policy: key };
}

/** False for dry-run policies, whatever their rules say. */
function policyMatches(
  policy: Authorization,
  subject: Subject,
  onDryRun: ((policy: Authorization) => void) | undefined,
  trace: PolicyTrace[] | undefined,
): boolean {
  if (policy.dryRun && onDryRun === undefined && trace === undefined) return false;
  const record: PolicyTrace | undefined = trace === undefined ? undefined : { policy, holds: false, rules: [] };
  if (record !== undefined) trace?.push(record);
  let matched = false;
  for (const rule of policy.rules) {
    if (!ruleHolds(rule, subject, record)) continue;
    matched = true;
    if (record === undefined) break;
    record.holds = true;
  }
  if (!policy.dryRun) return matched;
  if (matched) onDryRun?.(policy);
  return false;
}

/** Clauses are AND-ed; without clauses the rule holds. */
function ruleHolds(rule: Rule, subject: Subject, parent: PolicyTrace | undefined): boolean {
  const record: RuleTrace | undefined = parent === undefined ? undefined : { holds: true, clauses: [] };
  if (record !== undefined) parent?.rules.push(record);
  let holds = true;
  for (const clause of rule.clauses) {
    if (clauseHolds(clause, subject, record)) continue;
    holds = false;
    if (record === undefined) break;
    record.holds = false;
  }
  return holds;
}

/** Matches are OR-ed; without matches the clause holds. */
function clauseHolds(clause: Clause, subject: Subject, parent: RuleTrace | undefined): boolean {
  const record: ClauseTrace | undefined = parent === undefined ? undefined : { holds: false, matches: [] };
  if (record !== undefined) parent?.clauses.push(record);
  let holds = clause.matches.length === 0;
  for (const match of clause.matches) {
    const checks: Check[] | undefined = record === undefined ? undefined : [];
    const matchResult = matchHolds(match, subject, checks);
    holds ||= matchResult;
    if (record === undefined && holds) break;
    if (checks !== undefined) record?.matches.push({ holds: matchResult, match, checks });
  }
  if (record !== undefined) record.holds = holds;
  return holds;
}
