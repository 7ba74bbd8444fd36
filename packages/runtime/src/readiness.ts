// Named tasks that must all be finished before a process is ready; a task may become unfinished again.

export class Readiness {
  readonly #pending = new Set<string>();

  /** Registers an unfinished task. The returned functions are idempotent. */
  task(name: string): { done(): void; undone(): void } {
    this.#pending.add(name);
    return { done: () => void this.#pending.delete(name), undone: () => void this.#pending.add(name) };
  }

  /** Names of unfinished tasks, in order of their becoming so. */
  pending(): readonly string[] {
    return [...this.#pending];
  }

  get ready(): boolean {
    return this.#pending.size === 0;
  }
}
