// Every bound that keeps a hostile or broken HTTP/2 peer cheap, and what it is told when it crosses one.
import { H2, Http2Fault } from "./faults.ts";

/** Largest frame we accept, and what SETTINGS_MAX_FRAME_SIZE says. @source ztunnel src/config.rs HTTP2_FRAME_SIZE */
export const MAX_FRAME_BYTES = 1024 * 1024;
/** Window of each stream, and of all together. @source ztunnel src/config.rs HTTP2_STREAM_WINDOW_SIZE, HTTP2_CONNECTION_WINDOW_SIZE */
export const STREAM_WINDOW_BYTES = 4 * 1024 * 1024;
export const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
/** What a server lets one client open at a time. @source ztunnel src/proxy/h2/server.rs max_concurrent_streams */
export const SERVER_MAX_STREAMS = 200;
/** What a client opens at most on one session, however much the server allows. @source ztunnel POOL_MAX_STREAMS_PER_CONNECTION */
export const CLIENT_MAX_STREAMS = 100;
/** Names, values and 32 bytes per field. */
export const SERVER_HEADER_LIST_BYTES = 64 * 1024;
export const CLIENT_HEADER_LIST_BYTES = 16 * 1024;
/** Bytes that sinks of one session have not taken yet; above it the session gets no new connection window. */
export const SESSION_UNCONSUMED_BYTES = 32 * 1024 * 1024;

/** Frames of one header block: enough for the largest list in the smallest permitted maximum frame, many times over. */
export const HEADER_BLOCK_FRAMES = 32;
/** Entries of one SETTINGS frame; six are defined. */
export const SETTINGS_ENTRIES = 64;
/** GOAWAY with its debug text. */
export const GOAWAY_BYTES = 16 * 1024;

/** Lets `burst` events through at once and `perSecond` in the long run. */
export class RateBudget {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  /** When the budget was last topped up; undefined before its first use. */
  #updatedMs: number | undefined;

  constructor(burst: number, perSecond: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
  }

  /** False when the budget is used up. */
  take(nowMs: number): boolean {
    this.#updatedMs ??= nowMs;
    if (this.#left < 1) {
      const earned = (Math.max(0, nowMs - this.#updatedMs) * this.#perSecond) / 1000;
      this.#left = Math.min(this.#burst, this.#left + earned);
      this.#updatedMs = nowMs;
    }
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }

  /** More room that the other side has earned by what we sent. */
  earn(events: number): void {
    this.#left = Math.min(this.#left + events, this.#burst * 100);
  }
}

/**
 * Counts per session what costs us work and the peer nothing. Each method throws Http2Fault ENHANCE_YOUR_CALM, which ends the connection,
 * once its budget is used up.
 */
export class FloodGuard {
  // A client that cancels while we still dial makes us dial for nothing (CVE-2023-44487); ends after an answer are ordinary.
  readonly #earlyResets = new RateBudget(200, 100);
  readonly #refusedStreams = new RateBudget(400, 100);
  readonly #malformedStreams = new RateBudget(100, 10);
  readonly #settings = new RateBudget(32, 1);
  // Each PING makes us write (CVE-2019-9512); peers that measure bandwidth send one per round trip.
  readonly #pings = new RateBudget(500, 100);
  readonly #emptyData = new RateBudget(100, 10);
  // Legal and of no effect on us: PRIORITY, unknown types, acknowledgements.
  readonly #idleFrames = new RateBudget(1000, 100);
  readonly #windowUpdates = new RateBudget(1000, 1000);

  onEarlyReset(nowMs: number): void {
    if (!this.#earlyResets.take(nowMs)) flooded("streams that are reset before they are answered");
  }

  onRefusedStream(nowMs: number): void {
    if (!this.#refusedStreams.take(nowMs)) flooded("streams above the advertised limit");
  }

  /** A stream that we had to reset: each frees its place for another request at once (CVE-2025-8671). */
  onMalformedStream(nowMs: number): void {
    if (!this.#malformedStreams.take(nowMs)) flooded("malformed requests");
  }

  onSettings(nowMs: number): void {
    if (!this.#settings.take(nowMs)) flooded("SETTINGS frames");
  }

  onPing(nowMs: number): void {
    if (!this.#pings.take(nowMs)) flooded("PING frames");
  }

  onEmptyData(nowMs: number): void {
    if (!this.#emptyData.take(nowMs)) flooded("empty DATA frames");
  }

  onIdleFrame(nowMs: number): void {
    if (!this.#idleFrames.take(nowMs)) flooded("frames without effect");
  }

  onWindowUpdate(nowMs: number): void {
    if (!this.#windowUpdates.take(nowMs)) flooded("WINDOW_UPDATE frames");
  }

  /** A frame of DATA may be answered by two WINDOW_UPDATEs. */
  onDataSent(): void {
    this.#windowUpdates.earn(2);
  }
}

function flooded(what: string): never {
  throw new Http2Fault(H2.ENHANCE_YOUR_CALM, `Peer sends too many ${what}`);
}
