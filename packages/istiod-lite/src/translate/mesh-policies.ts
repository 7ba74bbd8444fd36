// All policies of the mesh, and which of them are attached to a workload.
import { type Authorization, type PolicyKey, policyKey } from "@ambit/core";
import { listKind, type ObjectSource } from "@ambit/kube";
import { scopeOf, translateAuthorizationPolicy } from "./authorization-policies.ts";
import { type Labels, selects } from "./labels.ts";
import { PeerAuthentications } from "./peer-authentications.ts";
import type { TranslationProblem } from "./problem.ts";
import type { MeshSettings } from "./settings.ts";

interface SelectorPolicy {
  readonly namespace: string;
  readonly key: PolicyKey;
  readonly labels: Labels;
}

/** A snapshot: of the state of the objects when it was made. */
export class MeshPolicies {
  readonly policies: readonly Authorization[];
  readonly problems: readonly TranslationProblem[];
  readonly #rootNamespace: string;
  readonly #selectorPolicies: ReadonlyMap<string, readonly SelectorPolicy[]>;
  readonly #peerAuthentications: PeerAuthentications;

  constructor(source: Pick<ObjectSource, "list" | "get">, settings: MeshSettings) {
    const { rootNamespace } = settings;
    const policies: Authorization[] = [];
    const problems: TranslationProblem[] = [];
    const selectors: SelectorPolicy[] = [];
    for (const object of listKind(source, "AuthorizationPolicy")) {
      const { namespace, name } = object.metadata;
      const { authorization, problem } = translateAuthorizationPolicy(object, settings);
      if (problem !== undefined) problems.push({ kind: "AuthorizationPolicy", namespace, name, reason: problem });
      if (authorization === undefined) continue;
      policies.push(authorization);
      if (scopeOf(object, rootNamespace) === "workloadSelector")
        selectors.push({ namespace, key: policyKey(namespace, name), labels: object.spec.selector?.matchLabels ?? {} });
    }
    this.#rootNamespace = rootNamespace;
    this.#selectorPolicies = Map.groupBy(selectors, ({ namespace }) => namespace);
    this.#peerAuthentications = new PeerAuthentications(listKind(source, "PeerAuthentication"), rootNamespace);
    this.policies = [...policies, ...this.#peerAuthentications.policies()];
    this.problems = problems;
  }

  /** Keys of the policies attached to a workload: those that select it, then those against plaintext. */
  attachedTo(namespace: string, labels: Labels): PolicyKey[] {
    const namespaces = new Set([namespace, this.#rootNamespace]);
    const selecting = [...namespaces].flatMap((name) => this.#selectorPolicies.get(name) ?? []);
    const keys = selecting.filter((policy) => selects(policy.labels, labels)).map(({ key }) => key);
    return [...keys.sort(), ...this.#peerAuthentications.policiesOf(namespace, labels)];
  }
}
