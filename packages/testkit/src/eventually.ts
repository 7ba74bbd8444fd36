// Waiting in tests: retry until it holds.
import { setTimeout as sleep } from "node:timers/promises";

export interface EventuallyOptions {
  /** How long to wait before the last failure is thrown. */
  readonly timeoutMs?: number;
  readonly intervalMs?: number;
}

/** Calls `check` until it neither throws nor returns false, and gives its result; after the timeout its last error is thrown. */
export async function eventually<T>(check: () => T | Promise<T>, options: EventuallyOptions = {}): Promise<Exclude<T, false>> {
  const { timeoutMs = 10_000, intervalMs = 5 } = options;
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    try {
      const result = await check();
      if (result !== false) return result as Exclude<T, false>;
      if (Date.now() >= deadlineMs) throw new Error(`Did not become true within ${timeoutMs} ms`);
    } catch (error) {
      if (Date.now() >= deadlineMs) throw error;
    }
    await sleep(intervalMs);
  }
}
