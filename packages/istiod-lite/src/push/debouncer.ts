// Many changes in a short time → one push.
import type { Clock, ClockTimer } from "@ambit/core";
import type { ChangedNames } from "../ambient-index.ts";
import type { ResourceTypeUrl } from "../resource.ts";

export interface DebounceOptions {
  /** Pause after the last change. */
  readonly quietMs: number;
  /** A change waits no longer than this, however many follow. */
  readonly maxMs: number;
}

export class Debouncer {
  readonly #clock: Clock;
  readonly #options: DebounceOptions;
  readonly #push: (changed: ChangedNames, sinceMs: number) => void;
  #pending = new Map<ResourceTypeUrl, Set<string>>();
  #sinceMs = 0;
  #timer: ClockTimer | undefined;

  /** `push` is told when the first of the changes came. */
  constructor(clock: Clock, options: DebounceOptions, push: (changed: ChangedNames, sinceMs: number) => void) {
    this.#clock = clock;
    this.#options = options;
    this.#push = push;
  }

  add(changed: ChangedNames): void {
    const nowMs = this.#clock.nowMs();
    if (this.#pending.size === 0) this.#sinceMs = nowMs;
    mergeNames(this.#pending, changed);
    this.#timer?.cancel();
    const latestMs = this.#sinceMs + this.#options.maxMs - nowMs;
    this.#timer = this.#clock.after(Math.min(this.#options.quietMs, latestMs), () => this.flush());
  }

  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#pending.size === 0) return;
    const changed = this.#pending;
    this.#pending = new Map();
    this.#push(changed, this.#sinceMs);
  }
}

/** Adds names to those that are waiting: what was two changes of one resource is one. */
export function mergeNames(into: Map<ResourceTypeUrl, Set<string>>, changed: ChangedNames): void {
  for (const [typeUrl, names] of changed) {
    const known = into.get(typeUrl);
    if (known === undefined) into.set(typeUrl, new Set(names));
    else for (const name of names) known.add(name);
  }
}
