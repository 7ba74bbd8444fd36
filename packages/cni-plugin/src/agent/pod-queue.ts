// One thing at a time per pod: plugin, watcher and drift check must not write the same rules at once.
import type { PodUid } from "@ambit/core";

export class PodQueue {
  readonly #tails = new Map<PodUid, Promise<unknown>>();

  /** Runs `action` after everything that was asked for this pod before, whether that succeeded or not. */
  async run<T>(uid: PodUid, action: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(uid) ?? Promise.resolve();
    const mine = before.then(action, action);
    this.#tails.set(uid, mine);
    try {
      return await mine;
    } finally {
      if (this.#tails.get(uid) === mine) this.#tails.delete(uid);
    }
  }

  /** Resolves when nothing is under way for any pod. */
  async idle(): Promise<void> {
    while (this.#tails.size > 0) await Promise.allSettled(this.#tails.values());
  }
}
