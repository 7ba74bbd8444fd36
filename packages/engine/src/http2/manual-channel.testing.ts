// What lies under a session in tests: an engine whose time the test moves, and a channel that keeps what is written to it.
import assert from "node:assert/strict";
import type { SecureChannel, SecureChannelHandler } from "../secure-channel.ts";
import { MAX_CHUNK_BYTES, type Slab } from "../slab.ts";

/** An engine whose time and turns the test moves. */
export class ManualEngine {
  #nowMs = 1_000_000;
  #deferred: (() => void)[] = [];
  readonly #timers = new Set<{ readonly atMs: number; readonly action: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): { cancel(): void } {
    const timer = { atMs: this.#nowMs + delayMs, action };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  defer(action: () => void): void {
    this.#deferred.push(action);
  }

  turn(): void {
    while (this.#deferred.length > 0) {
      const actions = this.#deferred;
      this.#deferred = [];
      for (const action of actions) action();
    }
  }

  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = next.atMs;
      next.action();
      this.turn();
    }
    this.#nowMs = untilMs;
  }
}

/** The channel under the session: what is written to it becomes frames. */
export class FrameChannel implements SecureChannel {
  room = MAX_CHUNK_BYTES;
  ended: "closed" | "reset" | undefined;
  /** After each write, as a full channel sends what it has. */
  onWrite: (() => void) | undefined;
  #bytes = Buffer.alloc(0);
  readonly #engine: ManualEngine;
  readonly #handler: SecureChannelHandler;

  constructor(engine: ManualEngine, handler: SecureChannelHandler) {
    this.#engine = engine;
    this.#handler = handler;
  }

  capacity(): number {
    return this.room;
  }

  write(slab: Slab, offset: number, length: number): void {
    this.writeBytes(slab.bytes.subarray(offset, offset + length));
  }

  writeBytes(bytes: Uint8Array): void {
    assert.equal(this.ended, undefined, "written after the end");
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    this.onWrite?.();
  }

  pause(): void {
    assert.fail("HTTP/2 never pauses its channel");
  }

  resume(): void {
    assert.fail("HTTP/2 never pauses its channel");
  }

  close(): void {
    this.#end("closed");
  }

  reset(): void {
    this.#end("reset");
  }

  #end(how: "closed" | "reset"): void {
    if (this.ended !== undefined) return;
    this.ended = how;
    this.#engine.defer(() => this.#handler.onClosed(undefined));
  }

  take(): Buffer {
    const bytes = this.#bytes;
    this.#bytes = Buffer.alloc(0);
    return bytes;
  }
}
