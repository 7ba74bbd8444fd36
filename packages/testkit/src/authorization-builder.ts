// Authorization policies for tests, by the text forms that people write.
import {
  type Authorization,
  type Clause,
  type Match,
  type PolicyKey,
  parseCidr,
  policyKey,
  type Rule,
  type StringMatch,
} from "@ambit/core";

/** A match by its text forms: strings as in AuthorizationPolicy (`x`, `x*`, `*x`, `*`), addresses as blocks. */
export interface MatchText {
  readonly namespaces?: readonly string[];
  readonly notNamespaces?: readonly string[];
  readonly principals?: readonly string[];
  readonly notPrincipals?: readonly string[];
  /** `namespace/service account`. */
  readonly serviceAccounts?: readonly string[];
  readonly notServiceAccounts?: readonly string[];
  readonly sourceIps?: readonly string[];
  readonly notSourceIps?: readonly string[];
  readonly destinationIps?: readonly string[];
  readonly notDestinationIps?: readonly string[];
  readonly destinationPorts?: readonly number[];
  readonly notDestinationPorts?: readonly number[];
}

export function match(text: MatchText): Match {
  return {
    namespaces: (text.namespaces ?? []).map(stringMatch),
    notNamespaces: (text.notNamespaces ?? []).map(stringMatch),
    principals: (text.principals ?? []).map(stringMatch),
    notPrincipals: (text.notPrincipals ?? []).map(stringMatch),
    serviceAccounts: (text.serviceAccounts ?? []).map(serviceAccount),
    notServiceAccounts: (text.notServiceAccounts ?? []).map(serviceAccount),
    sourceIps: (text.sourceIps ?? []).map(cidr),
    notSourceIps: (text.notSourceIps ?? []).map(cidr),
    destinationIps: (text.destinationIps ?? []).map(cidr),
    notDestinationIps: (text.notDestinationIps ?? []).map(cidr),
    destinationPorts: text.destinationPorts ?? [],
    notDestinationPorts: text.notDestinationPorts ?? [],
  };
}

/** One clause: any of the matches. */
export function clause(...matches: MatchText[]): Clause {
  return { matches: matches.map(match) };
}

function stringMatch(text: string): StringMatch {
  if (text === "*") return { kind: "presence" };
  if (text.endsWith("*")) return { kind: "prefix", value: text.slice(0, -1) };
  if (text.startsWith("*")) return { kind: "suffix", value: text.slice(1) };
  return { kind: "exact", value: text };
}

function serviceAccount(text: string): Match["serviceAccounts"][number] {
  const [namespace = "", name = ""] = text.split("/");
  return { namespace, serviceAccount: name };
}

function cidr(text: string): Match["sourceIps"][number] {
  const block = parseCidr(text);
  if (block === undefined) throw new RangeError(`Not an address block: ${text}`);
  return block;
}

const DEFAULT_AUTHORIZATION: Authorization = {
  name: "policy",
  namespace: "default",
  scope: "namespace",
  action: "allow",
  dryRun: false,
  rules: [],
};

/** Every step gives a new builder, so that a half-built one may be shared. */
export class AuthorizationBuilder {
  readonly #policy: Authorization;

  constructor(policy: Authorization = DEFAULT_AUTHORIZATION) {
    this.#policy = policy;
  }

  named(name: string): AuthorizationBuilder {
    return this.with({ name });
  }

  inNamespace(namespace: string): AuthorizationBuilder {
    return this.with({ namespace });
  }

  allowing(): AuthorizationBuilder {
    return this.with({ action: "allow" });
  }

  denying(): AuthorizationBuilder {
    return this.with({ action: "deny" });
  }

  forWholeMesh(): AuthorizationBuilder {
    return this.with({ scope: "global" });
  }

  forSelector(): AuthorizationBuilder {
    return this.with({ scope: "workloadSelector" });
  }

  asDryRun(): AuthorizationBuilder {
    return this.with({ dryRun: true });
  }

  /** One rule of these clauses; all must hold. */
  rule(...clauses: (Clause | MatchText)[]): AuthorizationBuilder {
    const rule: Rule = { clauses: clauses.map((part) => ("matches" in part ? part : clause(part))) };
    return this.with({ rules: [...this.#policy.rules, rule] });
  }

  with(fields: Partial<Authorization>): AuthorizationBuilder {
    return new AuthorizationBuilder({ ...this.#policy, ...fields });
  }

  build(): Authorization {
    return this.#policy;
  }
}

export function authorization(): AuthorizationBuilder {
  return new AuthorizationBuilder();
}

export function keyOfPolicy(of: Authorization): PolicyKey {
  return policyKey(of.namespace, of.name);
}
