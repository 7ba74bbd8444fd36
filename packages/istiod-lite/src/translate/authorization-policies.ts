// AuthorizationPolicies → policies for the data plane, and what of them it cannot enforce.
import { type Authorization, type Match, parseCidr, type Rule, type ServiceAccountMatch, type StringMatch } from "@ambit/core";
import type { AuthorizationPolicy, PolicyCondition, PolicyOperation, PolicyRule, PolicySource } from "@ambit/kube";
import { DRY_RUN } from "./labels.ts";
import type { MeshSettings } from "./settings.ts";

export interface TranslatedPolicy {
  /** Undefined: it is not for the data plane. */
  readonly authorization: Authorization | undefined;
  /** Attributes that only a waypoint could enforce, or why the whole policy is left out. */
  readonly problem?: string;
}

const TRUE_WORDS: ReadonlySet<string> = new Set(["1", "t", "T", "true", "TRUE", "True"]);

/** @source istio pilot/pkg/serviceregistry/ambient/authorization.go convertAuthorizationPolicy */
export function translateAuthorizationPolicy(policy: AuthorizationPolicy, settings: MeshSettings): TranslatedPolicy {
  const { metadata, spec } = policy;
  if (spec.targetRef !== undefined || spec.targetRefs !== undefined) return { authorization: undefined };
  const dryRun = TRUE_WORDS.has(metadata.annotations[DRY_RUN] ?? "");
  if (dryRun && !settings.sendDryRun) return { authorization: undefined, problem: "dry runs are not enabled" };
  if (spec.action !== "ALLOW" && spec.action !== "DENY")
    return { authorization: undefined, problem: `ztunnel does not support the ${spec.action} action` };
  const action = spec.action === "DENY" ? "deny" : "allow";
  const unsupported = new Set<string>();
  const rules = (spec.rules ?? []).flatMap((rule) => translateRule(rule, action, metadata.namespace, unsupported));
  const authorization: Authorization = {
    name: metadata.name,
    namespace: metadata.namespace,
    scope: scopeOf(policy, settings.rootNamespace),
    action,
    dryRun,
    rules,
  };
  if (unsupported.size === 0) return { authorization };
  return { authorization, problem: `needs a waypoint for ${[...unsupported].sort().join(", ")}; ${effectOf(authorization)}` };
}

/** What is left of a policy without its request attributes. */
function effectOf({ action, rules }: Authorization): string {
  if (action === "allow") return "rules with them allow nothing here";
  // In a clause one match has to hold, and a match with nothing set never does.
  const canMatch = rules.some(({ clauses }) => clauses.every(({ matches }) => matches.some(isAnythingSet)));
  return canMatch ? "rules are enforced without them, so more is denied" : "without them no rule can match, so nothing is denied";
}

function isAnythingSet(match: Match): boolean {
  return Object.values(match).some((list) => list.length > 0);
}

export function scopeOf({ metadata, spec }: AuthorizationPolicy, rootNamespace: string): Authorization["scope"] {
  if (Object.keys(spec.selector?.matchLabels ?? {}).length > 0) return "workloadSelector";
  return metadata.namespace === rootNamespace ? "global" : "namespace";
}

/** An ALLOW rule with request attributes is left out (it allows less); a DENY rule loses only those (it denies more). */
function translateRule(rule: PolicyRule, action: "allow" | "deny", namespace: string, unsupported: Set<string>): Rule[] {
  const found = [
    ...(rule.to ?? []).flatMap(({ operation }) => requestAttributes(operation, REQUEST_OPERATIONS)),
    ...(rule.from ?? []).flatMap(({ source }) => requestAttributes(source, REQUEST_SOURCES)),
    ...(rule.when ?? []).map(({ key }) => key).filter((key) => !CONDITIONS.has(key)),
  ];
  for (const name of found) unsupported.add(name);
  if (action === "allow" && found.length > 0) return [];
  const to = (rule.to ?? []).map(({ operation }) => operationMatch(operation));
  const from = (rule.from ?? []).map(({ source }) => sourceMatch(source, namespace));
  const when = (rule.when ?? []).map((condition) => ({ matches: [conditionMatch(condition)] }));
  return [
    {
      clauses: [...(to.length > 0 ? [{ matches: to }] : []), ...(from.length > 0 ? [{ matches: from }] : []), ...when],
    },
  ];
}

const REQUEST_OPERATIONS = [
  "hosts",
  "notHosts",
  "methods",
  "notMethods",
  "paths",
  "notPaths",
] as const satisfies (keyof PolicyOperation)[];
/** Trust domains have no field of their own on the wire; joined to the principals they would widen a source that has both. */
const REQUEST_SOURCES = [
  "remoteIpBlocks",
  "notRemoteIpBlocks",
  "requestPrincipals",
  "notRequestPrincipals",
  "trustDomains",
  "notTrustDomains",
] as const satisfies (keyof PolicySource)[];

function requestAttributes<Key extends string>(
  value: Readonly<Partial<Record<Key, readonly string[] | undefined>>>,
  keys: readonly Key[],
): Key[] {
  return keys.filter((key) => (value[key]?.length ?? 0) > 0);
}

/** A match that nothing is set in: it never holds. */
export const EMPTY_MATCH: Match = {
  namespaces: [],
  notNamespaces: [],
  principals: [],
  notPrincipals: [],
  serviceAccounts: [],
  notServiceAccounts: [],
  sourceIps: [],
  notSourceIps: [],
  destinationIps: [],
  notDestinationIps: [],
  destinationPorts: [],
  notDestinationPorts: [],
};

function operationMatch({ ports, notPorts }: PolicyOperation): Match {
  return { ...EMPTY_MATCH, destinationPorts: numbers(ports), notDestinationPorts: numbers(notPorts) };
}

function sourceMatch(source: PolicySource, namespace: string): Match {
  return {
    ...EMPTY_MATCH,
    namespaces: strings(source.namespaces),
    notNamespaces: strings(source.notNamespaces),
    principals: strings(source.principals),
    notPrincipals: strings(source.notPrincipals),
    serviceAccounts: serviceAccounts(source.serviceAccounts, namespace),
    notServiceAccounts: serviceAccounts(source.notServiceAccounts, namespace),
    sourceIps: blocks(source.ipBlocks),
    notSourceIps: blocks(source.notIpBlocks),
  };
}

/** What a condition's key compares; every other key is an attribute of requests. */
const CONDITIONS = new Map<string, (values?: readonly string[], notValues?: readonly string[]) => Partial<Match>>([
  ["source.namespace", (values, notValues) => ({ namespaces: strings(values), notNamespaces: strings(notValues) })],
  ["source.principal", (values, notValues) => ({ principals: strings(values), notPrincipals: strings(notValues) })],
  ["source.ip", (values, notValues) => ({ sourceIps: blocks(values), notSourceIps: blocks(notValues) })],
  ["destination.ip", (values, notValues) => ({ destinationIps: blocks(values), notDestinationIps: blocks(notValues) })],
  ["destination.port", (values, notValues) => ({ destinationPorts: numbers(values), notDestinationPorts: numbers(notValues) })],
]);

function conditionMatch({ key, values, notValues }: PolicyCondition): Match {
  return { ...EMPTY_MATCH, ...CONDITIONS.get(key)?.(values ?? [], notValues ?? []) };
}

/** `*` is any value at all, `x*` a prefix, `*x` a suffix. */
function strings(texts: readonly string[] = []): StringMatch[] {
  return texts.map((text) => {
    if (text === "*") return { kind: "presence" };
    if (text.startsWith("*")) return { kind: "suffix", value: text.slice(1) };
    if (text.endsWith("*")) return { kind: "prefix", value: text.slice(0, -1) };
    return { kind: "exact", value: text };
  });
}

function serviceAccounts(texts: readonly string[] = [], namespace: string): ServiceAccountMatch[] {
  return texts.map((text) => {
    const [first = "", second] = text.split("/");
    return second === undefined ? { namespace, serviceAccount: first } : { namespace: first, serviceAccount: second };
  });
}

function blocks(texts: readonly string[] = []) {
  return texts.map(parseCidr).filter((block) => block !== undefined);
}

function numbers(texts: readonly string[] = []): number[] {
  return texts.map(Number);
}
