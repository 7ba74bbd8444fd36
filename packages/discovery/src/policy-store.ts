// The authorization policies of the mesh by key, by namespace, and those of the whole mesh.
import { type Authorization, type PolicyKey, policyKey } from "@ambit/core";
import { byText, MultiIndex } from "./multi-index.ts";

const byKey = byText((policy: Authorization) => keyOfPolicy(policy));
/** No namespace has this name. */
const WHOLE_MESH = "";

export class PolicyStore {
  readonly #byKey = new Map<PolicyKey, Authorization>();
  /** Namespace policies under their namespace, global ones under the empty name. Selector policies are found by key only. */
  readonly #byPlace = new MultiIndex<string, PolicyKey, Authorization>(byKey);

  get(key: PolicyKey): Authorization | undefined {
    return this.#byKey.get(key);
  }

  get size(): number {
    return this.#byKey.size;
  }

  all(): IterableIterator<Authorization> {
    return this.#byKey.values();
  }

  ofNamespace(namespace: string): readonly Authorization[] {
    return namespace === WHOLE_MESH ? [] : this.#byPlace.get(namespace);
  }

  ofWholeMesh(): readonly Authorization[] {
    return this.#byPlace.get(WHOLE_MESH);
  }

  set(policy: Authorization): void {
    const key = keyOfPolicy(policy);
    this.delete(key);
    this.#byKey.set(key, policy);
    const place = placeOf(policy);
    if (place !== undefined) this.#byPlace.set(place, key, policy);
  }

  /** True when there was such a policy. */
  delete(key: PolicyKey): boolean {
    const policy = this.#byKey.get(key);
    if (policy === undefined) return false;
    const place = placeOf(policy);
    if (place !== undefined) this.#byPlace.delete(place, key);
    return this.#byKey.delete(key);
  }
}

export function keyOfPolicy(policy: Authorization): PolicyKey {
  return policyKey(policy.namespace, policy.name);
}

function placeOf(policy: Authorization): string | undefined {
  if (policy.scope === "workloadSelector") return undefined;
  return policy.scope === "global" ? WHOLE_MESH : policy.namespace;
}
