// A layer-4 authorization policy as data, already validated.
// Field meanings: istio pkg/workloadapi/security/authorization.proto; semantics: decide/authorize.ts.
import type { Cidr } from "./addresses.ts";

export type StringMatch =
  | { readonly kind: "exact"; readonly value: string }
  | { readonly kind: "prefix"; readonly value: string }
  | { readonly kind: "suffix"; readonly value: string }
  | { readonly kind: "presence" };

export interface ServiceAccountMatch {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** All types present must hold (AND); within one type any positive hit and no negative hit. With nothing set it never matches. */
export interface Match {
  readonly namespaces: readonly StringMatch[];
  readonly notNamespaces: readonly StringMatch[];
  readonly principals: readonly StringMatch[];
  readonly notPrincipals: readonly StringMatch[];
  readonly serviceAccounts: readonly ServiceAccountMatch[];
  readonly notServiceAccounts: readonly ServiceAccountMatch[];
  readonly sourceIps: readonly Cidr[];
  readonly notSourceIps: readonly Cidr[];
  readonly destinationIps: readonly Cidr[];
  readonly notDestinationIps: readonly Cidr[];
  readonly destinationPorts: readonly number[];
  readonly notDestinationPorts: readonly number[];
}

/** Matches are OR-ed; an empty clause holds. */
export interface Clause {
  readonly matches: readonly Match[];
}

/** Clauses are AND-ed; an empty rule matches everything. */
export interface Rule {
  readonly clauses: readonly Clause[];
}

export interface Authorization {
  readonly name: string;
  readonly namespace: string;
  readonly scope: "global" | "namespace" | "workloadSelector";
  readonly action: "allow" | "deny";
  readonly dryRun: boolean;
  /** Rules are OR-ed; without rules the policy never matches. */
  readonly rules: readonly Rule[];
}
