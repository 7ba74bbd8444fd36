// What one proxy wants of one resource type, what it has, and what is to be sent to it.
import type { DeltaDiscoveryRequest } from "@ambit/api";
import type { Resource, ResourceTypeUrl } from "../resource.ts";
import { nodeOf, type ResourceTable, serviceKeysOf } from "../resource-table.ts";

/** One answer, before it has a nonce. */
export interface Delta {
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
}

const WILDCARD = "*";

export class Watch {
  readonly typeUrl: ResourceTypeUrl;
  readonly #table: ResourceTable;
  /** Its workloads are always of interest; empty when unknown. */
  readonly #node: string;
  /** Keys that were asked for: names or aliases. */
  readonly #keys = new Set<string>();
  /** Names that the proxy has; kept on demand only, since with a wildcard it has everything. */
  readonly #sent = new Set<string>();
  #wildcard = false;

  constructor(typeUrl: ResourceTypeUrl, table: ResourceTable, node: string) {
    this.typeUrl = typeUrl;
    this.#table = table;
    this.#node = node;
  }

  get wildcard(): boolean {
    return this.#wildcard;
  }

  /** How many keys were asked for by name. */
  get keyCount(): number {
    return this.#keys.size;
  }

  /** Answers the first request of a stream: everything wanted except what the proxy has in the same version. */
  open({ resourceNamesSubscribe, resourceNamesUnsubscribe, initialResourceVersions: held }: DeltaDiscoveryRequest): Delta {
    const subscribes = resourceNamesSubscribe.length === 0 || resourceNamesSubscribe.includes(WILDCARD);
    this.#wildcard = subscribes && !resourceNamesUnsubscribe.includes(WILDCARD);
    const heldNames = Object.keys(held);
    const asked = resourceNamesSubscribe.filter((key) => key !== WILDCARD);
    for (const key of asked) this.#keys.add(key);
    if (!this.#wildcard) for (const name of heldNames) this.#sent.add(name);
    const wanted = this.#wildcard ? this.#table.names() : this.#onDemand([...asked, ...heldNames]);
    const names = [...new Set(wanted)].filter(
      (name) => held[name] === undefined || held[name] !== this.#table.get(name)?.version,
    );
    const gone = heldNames.filter((name) => this.#table.get(name) === undefined);
    return this.#deltaOf(names, [...gone, ...this.#unknown(asked)]);
  }

  /** Takes further wishes of the proxy; the answer to new ones, if there are any. */
  update({ resourceNamesSubscribe, resourceNamesUnsubscribe }: DeltaDiscoveryRequest): Delta | undefined {
    for (const key of resourceNamesUnsubscribe) {
      if (key === WILDCARD) this.#wildcard = false;
      this.#keys.delete(key);
      for (const name of this.#table.lookUp(key)) this.#sent.delete(name);
    }
    if (resourceNamesSubscribe.length === 0) return undefined;
    if (resourceNamesSubscribe.includes(WILDCARD)) {
      this.#wildcard = true;
      return this.#deltaOf(this.#table.names(), []);
    }
    for (const key of resourceNamesSubscribe) this.#keys.add(key);
    return this.#deltaOf(this.#onDemand(resourceNamesSubscribe), this.#unknown(resourceNamesSubscribe));
  }

  /** What of the changed names concerns this proxy. */
  changesOf(changed: Iterable<string>): Delta {
    return this.#deltaOf(
      [...changed].filter((name) => this.#wildcard || this.#isOfInterest(name)),
      [],
    );
  }

  #isOfInterest(name: string): boolean {
    if (this.#sent.has(name) || this.#keys.has(name)) return true;
    const resource = this.#table.get(name);
    if (resource === undefined) return false;
    if (this.#node !== "" && nodeOf(resource) === this.#node) return true;
    if (resource.aliases.some((alias) => this.#keys.has(alias))) return true;
    for (const service of serviceKeysOf(resource)) if (this.#keys.has(service) || this.#sent.has(service)) return true;
    return false;
  }

  /** The keys' resources, and always those of the proxy's own node. */
  #onDemand(keys: readonly string[]): string[] {
    const ownNode = this.#node === "" ? [] : [...this.#table.onNode(this.#node)].filter((name) => !this.#sent.has(name));
    return [...new Set([...keys.flatMap((key) => this.#table.lookUp(key)), ...ownNode])];
  }

  /** Named in the answer's removals: whoever waits for such a key learns that there is nothing. */
  #unknown(keys: readonly string[]): string[] {
    return keys.filter((key) => this.#table.lookUp(key).length === 0);
  }

  #deltaOf(names: Iterable<string>, removed: readonly string[]): Delta {
    const resources: Resource[] = [];
    const gone = new Set(removed);
    for (const name of names) {
      const resource = this.#table.get(name);
      if (resource === undefined) gone.add(name);
      else resources.push(resource);
    }
    if (!this.#wildcard) {
      for (const { name } of resources) this.#sent.add(name);
      for (const name of gone) this.#sent.delete(name);
    }
    return { resources, removed: [...gone] };
  }
}
