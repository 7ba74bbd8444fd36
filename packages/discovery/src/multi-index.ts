// Values under a key that several may share, such as the workloads of an address.

/** Adding and removing cost nothing that grows with the bucket; a bucket is sorted when it is next read. */
export class MultiIndex<Key extends string, Id extends string, Value> {
  readonly #compare: (a: Value, b: Value) => number;
  readonly #buckets = new Map<Key, { readonly values: Map<Id, Value>; sorted: readonly Value[] | undefined }>();

  constructor(compare: (a: Value, b: Value) => number) {
    this.#compare = compare;
  }

  set(key: Key, id: Id, value: Value): void {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      this.#buckets.set(key, { values: new Map([[id, value]]), sorted: undefined });
      return;
    }
    bucket.values.set(id, value);
    bucket.sorted = undefined;
  }

  delete(key: Key, id: Id): void {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return;
    bucket.values.delete(id);
    bucket.sorted = undefined;
    if (bucket.values.size === 0) this.#buckets.delete(key);
  }

  /** In order; the array is never changed afterwards. */
  get(key: Key): readonly Value[] {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return [];
    bucket.sorted ??= [...bucket.values.values()].sort(this.#compare);
    return bucket.sorted;
  }

  keys(): IterableIterator<Key> {
    return this.#buckets.keys();
  }
}

/** For strings by code unit, so that the order is the same on every machine. */
export function byText<Value>(textOf: (value: Value) => string): (a: Value, b: Value) => number {
  return (a, b) => {
    const [left, right] = [textOf(a), textOf(b)];
    if (left === right) return 0;
    return left < right ? -1 : 1;
  };
}
