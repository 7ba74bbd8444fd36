// Objects held in memory, changed by the test.
import { decodeObject, formatRef, type KubeObject, type ObjectChange, type ObjectProblem, type ObjectSource } from "@ambit/kube";

export class MemorySource implements ObjectSource {
  readonly #objects = new Map<string, KubeObject>();
  readonly #handlers = new Set<(changes: readonly ObjectChange[]) => void>();

  start(): Promise<void> {
    return Promise.resolve();
  }

  list(kind: string): readonly KubeObject[] {
    return [...this.#objects.values()].filter((object) => object.kind === kind);
  }

  get(kind: string, namespace: string, name: string): KubeObject | undefined {
    return this.#objects.get(formatRef({ kind, namespace, name }));
  }

  subscribe(handler: (changes: readonly ObjectChange[]) => void): () => void {
    this.#handlers.add(handler);
    return () => void this.#handlers.delete(handler);
  }

  problems(): readonly ObjectProblem[] {
    return [];
  }

  /** One batch. @throws when a value is not an object that the kind's schema accepts */
  put(...values: readonly unknown[]): void {
    const changes = values.map((value): ObjectChange => {
      const decoded = decodeObject(value);
      if (decoded.kind !== "object") throw new TypeError(`Not an object: ${JSON.stringify(decoded)}`);
      const { object } = decoded;
      const key = keyOf(object);
      const type = this.#objects.has(key) ? "modified" : "added";
      this.#objects.set(key, object);
      return { type, object };
    });
    for (const handler of this.#handlers) handler(changes);
  }

  remove(kind: string, namespace: string, name: string): void {
    const object = this.get(kind, namespace, name);
    if (object === undefined) throw new TypeError(`No ${kind} ${namespace}/${name}`);
    this.#objects.delete(keyOf(object));
    for (const handler of this.#handlers) handler([{ type: "deleted", object }]);
  }
}

function keyOf({ kind, metadata }: KubeObject): string {
  return formatRef({ kind, namespace: metadata.namespace, name: metadata.name });
}
