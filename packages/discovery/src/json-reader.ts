// Reading JSON that somebody else wrote: every step knows its path, and a surprise names it.
import { type IpAddress, MeshError, parseIp } from "@ambit/core";

export class JsonReader {
  readonly #value: unknown;
  readonly #path: string;

  /** @param path where the value stands in its document; empty for the document itself */
  constructor(value: unknown, path = "") {
    this.#value = value;
    this.#path = path;
  }

  get isAbsent(): boolean {
    return this.#value === undefined || this.#value === null;
  }

  /** The member; absent when there is none. */
  get(key: string): JsonReader {
    return new JsonReader(this.#object()[key], `${this.#path}/${key}`);
  }

  /** The members of an object; none when it is absent. */
  entries(): [key: string, value: JsonReader][] {
    if (this.isAbsent) return [];
    return Object.entries(this.#object()).map(([key, value]) => [key, new JsonReader(value, `${this.#path}/${key}`)]);
  }

  /** The elements of an array; none when it is absent. */
  elements(): JsonReader[] {
    if (this.isAbsent) return [];
    if (!Array.isArray(this.#value)) throw this.error("an array");
    return this.#value.map((value: unknown, i) => new JsonReader(value, `${this.#path}/${i}`));
  }

  string(fallback?: string): string {
    if (this.isAbsent && fallback !== undefined) return fallback;
    if (typeof this.#value !== "string") throw this.error("a string");
    return this.#value;
  }

  boolean(fallback: boolean): boolean {
    if (this.isAbsent) return fallback;
    if (typeof this.#value !== "boolean") throw this.error("true or false");
    return this.#value;
  }

  /** A whole number that is not negative. */
  number(fallback?: number): number {
    if (this.isAbsent && fallback !== undefined) return fallback;
    if (typeof this.#value !== "number" || !Number.isSafeInteger(this.#value) || this.#value < 0)
      throw this.error("a whole number");
    return this.#value;
  }

  ip(): IpAddress {
    return parseIp(this.string()) ?? this.fail("an IP address");
  }

  /** The key whose spelling this is. */
  oneOf<Key extends string>(spelling: Readonly<Record<Key, string>>, fallback?: Key): Key {
    if (this.isAbsent && fallback !== undefined) return fallback;
    const text = this.string();
    for (const key of Object.keys(spelling) as Key[]) if (spelling[key] === text) return key;
    throw this.error(`one of ${Object.values(spelling).join(", ")}`);
  }

  fail(wanted: string): never {
    throw this.error(wanted);
  }

  error(wanted: string): MeshError {
    const shown = JSON.stringify(this.#value)?.slice(0, 60) ?? "nothing";
    const path = this.#path || "/";
    return new MeshError("DISCOVERY_DUMP_INVALID", `${path} should be ${wanted} and is ${shown}`, { details: { path } });
  }

  #object(): Record<string, unknown> {
    if (typeof this.#value !== "object" || this.#value === null || Array.isArray(this.#value)) throw this.error("an object");
    return Object.fromEntries(Object.entries(this.#value));
  }
}
