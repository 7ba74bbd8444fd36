// Retry delays: exponential, capped, with jitter so that many clients do not come back at once.

export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  readonly factor?: number;
  /** Share of the delay that is random: 0.2 means plus or minus 20 %. */
  readonly jitter?: number;
  readonly random?: () => number;
}

export class Backoff {
  readonly #options: Required<BackoffOptions>;
  #nextMs: number;

  constructor(options: BackoffOptions) {
    this.#options = { factor: 2, jitter: 0.2, random: Math.random, ...options };
    this.#nextMs = options.initialMs;
  }

  /** The delay before the next try, in milliseconds; each call makes the following one longer. */
  next(): number {
    const { maxMs, factor, jitter, random } = this.#options;
    const baseMs = Math.min(this.#nextMs, maxMs);
    this.#nextMs = Math.min(this.#nextMs * factor, maxMs);
    return Math.round(baseMs * (1 + jitter * (2 * random() - 1)));
  }

  reset(): void {
    this.#nextMs = this.#options.initialMs;
  }
}
