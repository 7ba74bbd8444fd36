// Stopping in order: no new work, the old may finish, then a deadline.
import type { Clock, ClockTimer } from "./clock.ts";

/**
 * Counts holders of work. States: open → draining (`start` called) → done (no holder left, or the deadline passed).
 * `hold` in the draining state still works: work that was accepted before may split.
 */
export class Drain {
  readonly #clock: Clock;
  #holders = 0;
  #onDone: ((outcome: "finished" | "deadline") => void) | undefined;
  #deadline: ClockTimer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get draining(): boolean {
    return this.#onDone !== undefined;
  }

  get holders(): number {
    return this.#holders;
  }

  /** Registers one piece of work; the returned function ends it and may be called more than once. */
  hold(): () => void {
    this.#holders++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holders--;
      if (this.#holders === 0) this.#finish("finished");
    };
  }

  /** Waits for the holders, at most `deadlineMs`; then calls `onDone` exactly once. A second start is ignored. */
  start(deadlineMs: number, onDone: (outcome: "finished" | "deadline") => void): void {
    if (this.#onDone !== undefined) return;
    this.#onDone = onDone;
    if (this.#holders === 0) this.#finish("finished");
    else this.#deadline = this.#clock.after(deadlineMs, () => this.#finish("deadline"));
  }

  #finish(outcome: "finished" | "deadline"): void {
    const onDone = this.#onDone;
    if (onDone === undefined) return;
    this.#onDone = () => {};
    this.#deadline?.cancel();
    onDone(outcome);
  }
}
