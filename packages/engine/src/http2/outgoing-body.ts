// What one stream sends: DATA within both windows and the channel's room, then the end.
//
// open -> ending (end asked for, bytes still pending) -> ended; open | ending -> dead (the peer wants no more).
import { allocScratch, HEADROOM_BYTES, MAX_CHUNK_BYTES, type Slab } from "../slab.ts";
import { H2, Http2Fault } from "./faults.ts";
import { FRAME, FRAME_HEAD_BYTES, LARGEST_WINDOW_BYTES, writeFrameHead } from "./frames.ts";
import type { HeaderList } from "./hpack-table.ts";
import type { SendSide } from "./send-side.ts";

/**
 * A frame of this much payload fills TLS records to the last byte. One byte more, and the rest would travel in a record of its own and
 * reach the application as a write of its own.
 */
const WHOLE_RECORDS_BYTES = MAX_CHUNK_BYTES - FRAME_HEAD_BYTES;

/** The stream, as its outgoing half sees it. */
export interface OutgoingOwner {
  readonly id: number;
  /** Bytes that had to wait have left. */
  onPendingSent(length: number): void;
  /** There is room again for one who has seen none. */
  onRoom(): void;
  onOutgoingEnded(): void;
}

// Usually one. Writing to a tunnel inside a tunnel may write to the outer one meanwhile, which needs its own.
const scratches: Slab[] = [];

export class OutgoingBody {
  /** What the peer still lets this stream send; a smaller SETTINGS_INITIAL_WINDOW_SIZE can make it negative. */
  window: number;
  readonly #owner: OutgoingOwner;
  readonly #side: SendSide;
  #state: "open" | "ending" | "ended" | "dead" = "open";
  readonly #pending: Uint8Array[] = [];
  #pendingFrom = 0;
  #pendingBytes = 0;
  #wantsRoom = false;
  /** The end was asked for, whether it could be sent or not. */
  endWanted = false;
  #trailers: HeaderList | undefined;

  constructor(owner: OutgoingOwner, side: SendSide, window: number) {
    this.#owner = owner;
    this.#side = side;
    this.window = window;
  }

  get ended(): boolean {
    return this.#state === "ended";
  }

  /** The peer has said that it reads no more, before our end. */
  get dead(): boolean {
    return this.#state === "dead";
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Bytes that would leave at once; after a 0 `onRoom` is called when that changes. */
  capacity(): number {
    if (this.#pendingBytes === 0) {
      const room = Math.min(this.window, this.#side.capacity(), WHOLE_RECORDS_BYTES);
      if (room > 0) return room;
    }
    this.#wantsRoom = true;
    this.#await();
    return 0;
  }

  /**
   * Sends, and copies what must wait. Overwrites FRAME_HEAD_BYTES before `offset` and what it has sent.
   * @returns bytes that have left; the others are reported to `onPendingSent`
   */
  push(slab: Slab, offset: number, length: number): number {
    if (this.#state !== "open") return 0;
    const sent = this.#pendingBytes === 0 ? this.#send(slab, offset, length) : 0;
    if (sent < length) {
      this.#pending.push(slab.bytes.slice(offset + sent, offset + length));
      this.#pendingBytes += length - sent;
      this.#await();
    }
    return sent;
  }

  /** As `push`, for memory that is no slab. */
  write(bytes: Uint8Array): void {
    const scratch = scratches.pop() ?? allocScratch();
    for (let at = 0; at < bytes.length; at += MAX_CHUNK_BYTES) {
      const piece = bytes.subarray(at, at + MAX_CHUNK_BYTES);
      scratch.bytes.set(piece, HEADROOM_BYTES);
      this.push(scratch, HEADROOM_BYTES, piece.length);
    }
    scratches.push(scratch);
  }

  /** Ends our direction after what is pending, with trailers if there are any. */
  end(trailers: HeaderList | undefined): void {
    this.endWanted = true;
    if (this.#state !== "open") return;
    this.#state = "ending";
    this.#trailers = trailers;
    if (this.#pendingBytes === 0) this.#sendEnd();
  }

  /** The end went out with the headers: there is no body. */
  endedByHeaders(): void {
    this.#state = "ended";
  }

  /** Nothing more is sent. */
  abandon(): void {
    if (this.#state !== "ended") this.#state = "dead";
    this.#pending.length = 0;
    this.#pendingBytes = 0;
    this.#side.forget(this);
  }

  /** WINDOW_UPDATE, or a change of SETTINGS_INITIAL_WINDOW_SIZE (may be negative). @throws Http2Fault FLOW_CONTROL_ERROR */
  widen(bytes: number, isSettings: boolean): void {
    const wasShut = this.window <= 0;
    this.window += bytes;
    if (this.window > LARGEST_WINDOW_BYTES) {
      throw new Http2Fault(H2.FLOW_CONTROL_ERROR, "Window grows above 2^31 - 1", isSettings ? 0 : this.#owner.id);
    }
    if (wasShut && this.window > 0) this.proceed();
  }

  /** Room may have come back. */
  proceed(): void {
    if (this.#pendingBytes > 0) this.#sendPending();
    if (this.#pendingBytes > 0) {
      this.#await();
      return;
    }
    if (this.#state === "ending") this.#sendEnd();
    else if (this.#wantsRoom) {
      this.#wantsRoom = false;
      this.#owner.onRoom();
    }
  }

  #send(slab: Slab, offset: number, length: number): number {
    const side = this.#side;
    let sent = 0;
    while (sent < length) {
      const count = Math.min(length - sent, this.window, side.capacity(), side.maxFrameBytes);
      if (count <= 0) break;
      // In front of the payload: headroom, or what the frame before has already sent.
      const head = offset + sent - FRAME_HEAD_BYTES;
      writeFrameHead(slab.bytes, head, count, FRAME.DATA, 0, this.#owner.id);
      this.window -= count;
      side.sendData(slab, head, count);
      sent += count;
    }
    return sent;
  }

  #sendPending(): void {
    let left = 0;
    const scratch = scratches.pop() ?? allocScratch();
    for (let block = this.#pending[0]; block !== undefined; block = this.#pending[0]) {
      const length = Math.min(block.length - this.#pendingFrom, MAX_CHUNK_BYTES);
      scratch.bytes.set(block.subarray(this.#pendingFrom, this.#pendingFrom + length), HEADROOM_BYTES);
      const sent = this.#send(scratch, HEADROOM_BYTES, length);
      left += sent;
      this.#pendingFrom += sent;
      this.#pendingBytes -= sent;
      if (this.#pendingFrom === block.length) {
        this.#pending.shift();
        this.#pendingFrom = 0;
      } else if (sent < length) break;
    }
    scratches.push(scratch);
    if (left > 0) this.#owner.onPendingSent(left);
  }

  /** A stream whose own window is shut waits for its WINDOW_UPDATE instead. */
  #await(): void {
    if (this.window > 0) this.#side.await(this);
  }

  #sendEnd(): void {
    this.#state = "ended";
    this.#side.sendEnd(this.#owner.id, this.#trailers);
    this.#owner.onOutgoingEnded();
  }
}
