// The resources of one type by name, and by everything else that a proxy may ask for them by.
import type { Resource } from "./resource.ts";

export class ResourceTable {
  readonly #byName = new Map<string, Resource>();
  readonly #byAlias = new Map<string, Set<string>>();
  /** Names of workloads, by each of their services. */
  readonly #endpoints = new Map<string, Set<string>>();
  readonly #byNode = new Map<string, Set<string>>();

  get size(): number {
    return this.#byName.size;
  }

  get(name: string): Resource | undefined {
    return this.#byName.get(name);
  }

  names(): Iterable<string> {
    return this.#byName.keys();
  }

  values(): Iterable<Resource> {
    return this.#byName.values();
  }

  set(resource: Resource): void {
    this.delete(resource.name);
    this.#byName.set(resource.name, resource);
    this.#eachKey(resource, (index, key) => {
      const names = index.get(key) ?? new Set();
      index.set(key, names.add(resource.name));
    });
  }

  delete(name: string): void {
    const resource = this.#byName.get(name);
    if (resource === undefined) return;
    this.#byName.delete(name);
    this.#eachKey(resource, (index, key) => {
      const names = index.get(key);
      names?.delete(name);
      if (names?.size === 0) index.delete(key);
    });
  }

  /** What a key names: a resource's name, an alias, or a service together with its endpoints. */
  lookUp(key: string): string[] {
    const own = this.#byName.has(key) ? [key] : [];
    const names = [...own, ...(this.#byAlias.get(key) ?? [])];
    return names.flatMap((name) => [name, ...(this.#endpoints.get(name) ?? [])]);
  }

  /** Names of the workloads on a node. */
  onNode(node: string): Iterable<string> {
    return this.#byNode.get(node) ?? [];
  }

  #eachKey(resource: Resource, action: (index: Map<string, Set<string>>, key: string) => void): void {
    for (const alias of resource.aliases) action(this.#byAlias, alias);
    for (const key of serviceKeysOf(resource)) action(this.#endpoints, key);
    const node = nodeOf(resource);
    if (node !== "") action(this.#byNode, node);
  }
}

/** The services that a resource is an endpoint of. */
export function serviceKeysOf({ value }: Resource): Iterable<string> {
  return "kind" in value && value.kind === "workload" ? value.workload.services.keys() : [];
}

export function nodeOf({ value }: Resource): string {
  return "kind" in value && value.kind === "workload" ? value.workload.node : "";
}
