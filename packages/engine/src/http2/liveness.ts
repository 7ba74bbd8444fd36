// Finds out that a peer is gone although its connection looks open: PING when nothing comes.
import type { Engine, EngineTimer } from "../contract.ts";

/** @source ztunnel src/proxy/h2/server.rs and client.rs PING_INTERVAL, PING_TIMEOUT */
export const PING_INTERVAL_MS = 10_000;
export const PING_TIMEOUT_MS = 20_000;

/** Received data counts as life, so that a busy session sends no PING. */
export class Liveness {
  readonly #engine: Engine;
  readonly #ping: () => void;
  readonly #onSilent: () => void;
  #heardMs: number;
  #pingedMs: number | undefined;
  #timer: EngineTimer | undefined;

  constructor(engine: Engine, ping: () => void, onSilent: () => void) {
    this.#engine = engine;
    this.#ping = ping;
    this.#onSilent = onSilent;
    this.#heardMs = engine.nowMs();
    this.#timer = engine.after(PING_INTERVAL_MS, this.#check);
  }

  /** Something came from the peer. */
  heard(): void {
    this.#heardMs = this.#engine.nowMs();
    this.#pingedMs = undefined;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  readonly #check = (): void => {
    const nowMs = this.#engine.nowMs();
    if (this.#pingedMs !== undefined && nowMs - this.#pingedMs >= PING_TIMEOUT_MS) {
      this.#timer = undefined;
      this.#onSilent();
      return;
    }
    if (this.#pingedMs === undefined && nowMs - this.#heardMs >= PING_INTERVAL_MS) {
      this.#pingedMs = nowMs;
      this.#ping();
    }
    // While an answer is awaited no less often: it may come soon, and silence begin again.
    const dueMs =
      this.#pingedMs === undefined
        ? this.#heardMs + PING_INTERVAL_MS
        : Math.min(this.#pingedMs + PING_TIMEOUT_MS, nowMs + PING_INTERVAL_MS);
    this.#timer = this.#engine.after(Math.max(dueMs - nowMs, 1), this.#check);
  };
}
