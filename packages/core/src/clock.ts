// Time as a dependency: real in processes, moved by hand in tests.

export interface ClockTimer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Calls `action` once after `delayMs`; does not keep the process alive. */
  after(delayMs: number, action: () => void): ClockTimer;
}

/** The longest delay that the runtime's timers take before they fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

export const realClock: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, action) {
    const timer = setTimeout(action, Math.min(Math.max(delayMs, 0), MAX_DELAY_MS));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/** A clock that moves only through `advance`; due timers run in time order. */
export class ManualClock implements Clock {
  #nowMs: number;
  #timers: { dueMs: number; action: () => void }[] = [];

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): ClockTimer {
    const timer = { dueMs: this.#nowMs + Math.max(delayMs, 0), action };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      this.#timers.sort((a, b) => a.dueMs - b.dueMs);
      const next = this.#timers[0];
      if (next === undefined || next.dueMs > untilMs) break;
      this.#timers.shift();
      this.#nowMs = next.dueMs;
      next.action();
    }
    this.#nowMs = untilMs;
  }
}

/** Waits on the clock; ends early, without error, when `signal` aborts. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(delayMs, done);
    signal.addEventListener("abort", done);
  });
}
