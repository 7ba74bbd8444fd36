// How two streams are joined without copying: what each side offers the other.
import type { MeshError } from "@ambit/core";
import type { ByteStream } from "./contract.ts";
import type { Slab } from "./slab.ts";

/**
 * A stream's door for `relay`: source and sink without copies. `relay` asks for it with `stream[RELAY_SIDE]()`; a ByteStream without
 * one is relayed through `handle` and `write`.
 *
 * As a source, a side that has bytes calls `peer.push(...)` with at most `peer.capacity()` of them where it can choose (a TCP socket
 * reads no more than that; at 0 it stops reading until its `onCapacity` is called). A source that cannot choose, because the bytes
 * were already received within a window it had granted (HTTP/2), pushes them all, and grants new window only for what `onCredit` reports.
 * At the end it calls `peer.pushEnd()`.
 *
 * As a sink it calls `peer.onCapacity()` after its capacity was 0 and no longer is, and `peer.onCredit(n)` when bytes pushed to it have
 * left (TCP: taken by the kernel; HTTP/2: encrypted), possibly from inside `push`.
 *
 * A side ends when both directions have ended and everything pushed has left, or when it fails; then it calls `onClosed` exactly once,
 * never from inside `join`.
 */
export interface RelaySide {
  /** Starts relaying. Bytes received before are pushed too, but not before this call has returned. */
  join(peer: RelaySide, onClosed: (error: MeshError | undefined) => void): void;
  /** Bytes pushed to the peer since `join`. */
  readonly relayedBytes: number;
  capacity(): number;
  /** Takes all bytes; what cannot leave now is copied. May overwrite HEADROOM_BYTES before `offset`, and the payload after use. */
  push(slab: Slab, offset: number, length: number): void;
  /** Ends the direction towards this side after what was pushed. */
  pushEnd(): void;
  onCapacity(): void;
  onCredit(length: number): void;
  /** Cuts the stream; `onClosed` is not called any more. */
  reset(): void;
}

export const RELAY_SIDE: unique symbol = Symbol("relaySide");

/** A byte stream that `relay` can join without copies. */
export interface RelayableStream extends ByteStream {
  [RELAY_SIDE](): RelaySide;
}
