// PeerAuthentications → policies that refuse plaintext, and which workloads they hold for.
import { type Authorization, type Match, type PolicyKey, policyKey } from "@ambit/core";
import type { PeerAuthentication } from "@ambit/kube";
import { EMPTY_MATCH } from "./authorization-policies.ts";
import { type Labels, selects } from "./labels.ts";

/** Underscores cannot stand in names of Kubernetes objects: no policy of a user can have this name. */
const STATIC_STRICT = "istio_converted_static_strict";
const CONVERTED_PREFIX = "converted_peer_authentication_";

const NO_IDENTITY: Match = { ...EMPTY_MATCH, notPrincipals: [{ kind: "presence" }] };

/** Mesh, namespace and workload settings that meet at a workload; at each level the oldest object is the one that holds. */
export class PeerAuthentications {
  readonly #rootNamespace: string;
  readonly #byNamespace: ReadonlyMap<string, readonly PeerAuthentication[]>;

  constructor(objects: readonly PeerAuthentication[], rootNamespace: string) {
    this.#rootNamespace = rootNamespace;
    this.#byNamespace = Map.groupBy(objects.toSorted(byAge), ({ metadata }) => metadata.namespace);
  }

  /** The policies to attach to a workload. */
  policiesOf(namespace: string, labels: Labels): PolicyKey[] {
    const strictByDefault = this.#isStrict(namespace);
    const own = namespace === this.#rootNamespace ? [] : (this.#byNamespace.get(namespace) ?? []);
    const object = own.find(({ spec }) => selects(spec.selector?.matchLabels, labels));
    if (object === undefined) return strictByDefault ? [this.#staticStrictKey()] : [];
    const { strict, exceptions } = effectOf(object, strictByDefault);
    if (exceptions.length > 0) return [policyKey(namespace, convertedName(object))];
    return strict ? [this.#staticStrictKey()] : [];
  }

  /** The policies themselves; each object with ports that differ from its rest has its own. */
  policies(): Authorization[] {
    if (this.#byNamespace.size === 0) return [];
    const converted = [...this.#byNamespace].flatMap(([namespace, objects]) =>
      namespace === this.#rootNamespace ? [] : objects.flatMap((object) => convert(object, this.#isStrict(namespace))),
    );
    return [denyPolicy(this.#rootNamespace, STATIC_STRICT, [{ clauses: [{ matches: [NO_IDENTITY] }] }]), ...converted];
  }

  #staticStrictKey(): PolicyKey {
    return policyKey(this.#rootNamespace, STATIC_STRICT);
  }

  /** What holds for a workload of the namespace that no object selects. */
  #isStrict(namespace: string): boolean {
    const levels = namespace === this.#rootNamespace ? [namespace] : [namespace, this.#rootNamespace];
    for (const level of levels) {
      const mode = (this.#byNamespace.get(level) ?? []).find((object) => !hasSelector(object))?.spec.mtls?.mode ?? "UNSET";
      if (mode !== "UNSET") return mode === "STRICT";
    }
    return false;
  }
}

interface Effect {
  readonly strict: boolean;
  /** Ports for which the opposite holds, in order. */
  readonly exceptions: readonly number[];
}

/** DISABLE is as PERMISSIVE: between members traffic is always mutual TLS, only plaintext is in question. */
function effectOf({ spec }: PeerAuthentication, strictByDefault: boolean): Effect {
  const mode = spec.mtls?.mode ?? "UNSET";
  const strict = mode === "UNSET" ? strictByDefault : mode === "STRICT";
  const exceptions = Object.entries(spec.portLevelMtls ?? {})
    .filter(([, port]) => port.mode !== "UNSET" && (port.mode === "STRICT") !== strict)
    .map(([port]) => Number(port))
    .sort((a, b) => a - b);
  return { strict, exceptions };
}

function convert(object: PeerAuthentication, strictByDefault: boolean): Authorization[] {
  if (!hasSelector(object)) return [];
  const { strict, exceptions } = effectOf(object, strictByDefault);
  if (exceptions.length === 0) return [];
  const rules = strict
    ? [
        {
          clauses: [
            { matches: [NO_IDENTITY] },
            ...exceptions.map((port) => ({ matches: [{ ...EMPTY_MATCH, notDestinationPorts: [port] }] })),
          ],
        },
      ]
    : exceptions.map((port) => ({ clauses: [{ matches: [{ ...NO_IDENTITY, destinationPorts: [port] }] }] }));
  return [denyPolicy(object.metadata.namespace, convertedName(object), rules)];
}

function denyPolicy(namespace: string, name: string, rules: Authorization["rules"]): Authorization {
  return { name, namespace, scope: "workloadSelector", action: "deny", dryRun: false, rules };
}

function convertedName({ metadata }: PeerAuthentication): string {
  return `${CONVERTED_PREFIX}${metadata.name}`;
}

function hasSelector({ spec }: PeerAuthentication): boolean {
  return Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
}

function byAge(a: PeerAuthentication, b: PeerAuthentication): number {
  return ageKey(a) < ageKey(b) ? -1 : 1;
}

function ageKey({ metadata }: PeerAuthentication): string {
  return `${metadata.creationTimestamp ?? ""}|${metadata.namespace}/${metadata.name}`;
}
