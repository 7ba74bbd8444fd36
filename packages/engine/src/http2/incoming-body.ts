// What one stream receives: kept until somebody wants it, then handed on in place; window granted as it is consumed.
//
// Receiver: none (bytes are kept) -> handler or relay, for good. A paused handler has bytes kept again.
import type { StreamHandler } from "../contract.ts";
import type { RelaySide } from "../relay-side.ts";
import { allocScratch, HEADROOM_BYTES, type Slab } from "../slab.ts";
import { H2, Http2Fault } from "./faults.ts";
import { STREAM_WINDOW_BYTES } from "./limits.ts";
import type { ReceiveSide } from "./receive-side.ts";

const GRANT_FROM_BYTES = STREAM_WINDOW_BYTES / 4;

/** The stream, as its incoming half sees it. */
export interface IncomingOwner {
  readonly id: number;
  /** The end has been handed on: to the handler or the relay. */
  onIncomingEnded(): void;
}

// For bytes that were kept; a relay takes them from a slab. Used only from the top of a turn, so that no two uses overlap.
let scratch: Slab | undefined;

export class IncomingBody {
  /** Bytes handed on to a relay. */
  relayedBytes = 0;
  readonly #owner: IncomingOwner;
  readonly #side: ReceiveSide;
  #window = STREAM_WINDOW_BYTES;
  #ungranted = 0;
  #unconsumed = 0;
  #received: "open" | "ended" | "abandoned" = "open";
  #handedEnd = false;
  #handler: StreamHandler | undefined;
  #peer: RelaySide | undefined;
  #paused = true;
  #resuming = false;
  #kept: Uint8Array[] = [];

  constructor(owner: IncomingOwner, side: ReceiveSide) {
    this.#owner = owner;
    this.#side = side;
  }

  /** The peer has ended its direction. */
  get ended(): boolean {
    return this.#received === "ended";
  }

  /** And whoever reads has been told. */
  get handedEnd(): boolean {
    return this.#handedEnd;
  }

  /** A DATA frame of this length has begun. @throws Http2Fault on the stream */
  onFrame(length: number): void {
    if (this.#received === "ended") throw new Http2Fault(H2.STREAM_CLOSED, "DATA after END_STREAM", this.#owner.id);
    this.#window -= length;
    if (this.#window < 0) {
      throw new Http2Fault(H2.FLOW_CONTROL_ERROR, "Peer sends more than the stream's window allows", this.#owner.id);
    }
  }

  onBytes(slab: Slab, offset: number, length: number): void {
    if (this.#received === "abandoned") return;
    this.#unconsumed += length;
    this.#side.onDelivered(length);
    if (this.#paused || this.#kept.length > 0) {
      this.#kept.push(slab.bytes.slice(offset, offset + length));
      return;
    }
    this.#hand(slab, offset, length);
  }

  /** Padding takes window and is consumed at once. */
  onPadding(length: number): void {
    this.#grant(length);
  }

  onEnd(): void {
    if (this.#received !== "open") return;
    this.#received = "ended";
    if (!this.#paused && this.#kept.length === 0) this.#handEnd();
  }

  handTo(handler: StreamHandler): void {
    this.#handler = handler;
  }

  relayTo(peer: RelaySide): void {
    this.#peer = peer;
  }

  pause(): void {
    // What a relay cannot send it keeps itself.
    if (this.#peer === undefined) this.#paused = true;
  }

  /** Hands on what was kept, then everything as it comes. */
  resume(): void {
    this.#paused = false;
    // The handler may ask from within `onData`: the loop below goes on by itself.
    if (this.#resuming) return;
    this.#resuming = true;
    while (!this.#paused && this.#received !== "abandoned") {
      const block = this.#kept[0];
      if (block === undefined) break;
      // Out of the list only afterwards: what arrives meanwhile must queue behind it.
      this.#handKept(block);
      this.#kept.shift();
    }
    this.#resuming = false;
    if (!this.#paused && this.#received === "ended" && this.#kept.length === 0) this.#handEnd();
  }

  /** Whoever was handed bytes has got rid of them. */
  onConsumed(length: number): void {
    if (this.#received === "abandoned") return;
    this.#unconsumed -= length;
    this.#side.onConsumed(length);
    this.#grant(length);
  }

  /** Nothing more is handed on. */
  abandon(): void {
    if (this.#received === "abandoned") return;
    this.#received = "abandoned";
    this.#kept = [];
    this.#side.onConsumed(this.#unconsumed);
    this.#unconsumed = 0;
  }

  #handKept(block: Uint8Array): void {
    if (this.#peer === undefined) {
      this.#handler?.onData(block);
      this.onConsumed(block.length);
      return;
    }
    scratch ??= allocScratch();
    // A block was part of one chunk, so that it fits.
    scratch.bytes.set(block, HEADROOM_BYTES);
    this.#hand(scratch, HEADROOM_BYTES, block.length);
  }

  #hand(slab: Slab, offset: number, length: number): void {
    if (this.#peer !== undefined) {
      this.relayedBytes += length;
      this.#peer.push(slab, offset, length);
      return;
    }
    this.#handler?.onData(slab.bytes.subarray(offset, offset + length));
    this.onConsumed(length);
  }

  #handEnd(): void {
    if (this.#handedEnd) return;
    this.#handedEnd = true;
    if (this.#peer !== undefined) this.#peer.pushEnd();
    else this.#handler?.onEnd();
    this.#owner.onIncomingEnded();
  }

  #grant(length: number): void {
    if (this.#received !== "open") return;
    this.#ungranted += length;
    if (this.#ungranted < GRANT_FROM_BYTES) return;
    this.#side.grantStream(this.#owner.id, this.#ungranted);
    this.#window += this.#ungranted;
    this.#ungranted = 0;
  }
}
