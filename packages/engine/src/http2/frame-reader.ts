// Cuts received bytes into frames: DATA is passed on as it comes, every other frame whole.
//
// preface (server only) -> head -> dataPadLength -> data -> dataPadding -> head
//                            \-> whole (collects when the frame is spread over reads) -> head
//                            \-> skip (types that we do not know) -> head
import type { Slab } from "../slab.ts";
import { H2, Http2Fault } from "./faults.ts";
import { FLAG, FRAME, FRAME_HEAD_BYTES, PREFACE, readUint31 } from "./frames.ts";
import { GOAWAY_BYTES, MAX_FRAME_BYTES, SETTINGS_ENTRIES } from "./limits.ts";

export interface FrameSink {
  /** A DATA frame begins; `length` counts against the windows and includes padding. */
  onDataFrame(streamId: number, length: number): void;
  /** A part of its payload, in place, where it was received. */
  onDataBytes(slab: Slab, offset: number, length: number): void;
  onDataFrameEnd(flags: number, padding: number): void;
  /** Any other frame; `bytes` is valid during the call only. */
  onFrame(type: number, flags: number, streamId: number, bytes: Uint8Array, offset: number, length: number): void;
}

type State = "preface" | "head" | "dataPadLength" | "data" | "dataPadding" | "whole" | "skip";

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #maxHeaderBlockBytes: number;
  #state: State;
  #stopped = false;
  #prefaceSeen = 0;
  readonly #head = new Uint8Array(FRAME_HEAD_BYTES);
  #headLength = 0;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  #left = 0;
  #padding = 0;
  #paddingLeft = 0;
  #collected = new Uint8Array(0);
  #collectedLength = 0;
  #isFirst = true;
  /** Stream whose header block is not complete: nothing but its CONTINUATION may follow. */
  #openBlock = 0;

  constructor(role: "client" | "server", maxHeaderBlockBytes: number, sink: FrameSink) {
    this.#state = role === "server" ? "preface" : "head";
    this.#maxHeaderBlockBytes = maxHeaderBlockBytes;
    this.#sink = sink;
  }

  /** No further call to the sink, also from within one. */
  stop(): void {
    this.#stopped = true;
  }

  /** @throws Http2Fault for what breaks the framing; also passes on what the sink throws */
  read(slab: Slab, offset: number, length: number): void {
    const bytes = slab.bytes;
    const end = offset + length;
    let at = offset;
    while (at < end && !this.#stopped) {
      switch (this.#state) {
        case "head":
          at += this.#readHead(bytes, at, end);
          break;
        case "data":
          at += this.#readData(slab, at, end);
          break;
        case "whole":
          at += this.#readWhole(bytes, at, end);
          break;
        case "dataPadLength":
          this.#startPadded(bytes[at++] ?? 0);
          break;
        case "dataPadding": {
          const count = Math.min(this.#paddingLeft, end - at);
          at += count;
          this.#paddingLeft -= count;
          if (this.#paddingLeft === 0) this.#endData();
          break;
        }
        case "skip": {
          const count = Math.min(this.#left, end - at);
          at += count;
          this.#left -= count;
          if (this.#left === 0) this.#state = "head";
          break;
        }
        case "preface":
          if (bytes[at++] !== PREFACE[this.#prefaceSeen++]) throw new Http2Fault(H2.PROTOCOL_ERROR, "Peer does not speak HTTP/2");
          if (this.#prefaceSeen === PREFACE.length) this.#state = "head";
          break;
      }
    }
  }

  #readHead(bytes: Uint8Array, at: number, end: number): number {
    if (this.#headLength === 0 && end - at >= FRAME_HEAD_BYTES) {
      this.#begin(bytes, at);
      return FRAME_HEAD_BYTES;
    }
    const count = Math.min(FRAME_HEAD_BYTES - this.#headLength, end - at);
    for (let i = 0; i < count; i++) this.#head[this.#headLength + i] = bytes[at + i] ?? 0;
    this.#headLength += count;
    if (this.#headLength === FRAME_HEAD_BYTES) {
      this.#headLength = 0;
      this.#begin(this.#head, 0);
    }
    return count;
  }

  #begin(bytes: Uint8Array, at: number): void {
    const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    const type = bytes[at + 3] ?? 0;
    const flags = bytes[at + 4] ?? 0;
    const streamId = readUint31(bytes, at + 5);
    this.#type = type;
    this.#flags = flags;
    this.#streamId = streamId;
    this.#left = length;
    this.#checkOrder(type, flags, streamId);
    if (type === FRAME.DATA) this.#beginData(length);
    else if (type > FRAME.CONTINUATION || (type === FRAME.PRIORITY && length !== 5)) this.#beginUnknown(length);
    else {
      this.#checkLength(type, flags, streamId, length);
      this.#collectedLength = 0;
      if (length === 0) this.#sink.onFrame(type, flags, streamId, bytes, 0, 0);
      else this.#state = "whole";
    }
  }

  #checkOrder(type: number, flags: number, streamId: number): void {
    if (this.#isFirst && (type !== FRAME.SETTINGS || (flags & FLAG.ACK) !== 0)) {
      throw new Http2Fault(H2.PROTOCOL_ERROR, "Peer does not begin with SETTINGS");
    }
    this.#isFirst = false;
    const continues = type === FRAME.CONTINUATION;
    if (this.#openBlock !== 0 ? !continues || streamId !== this.#openBlock : continues) {
      throw new Http2Fault(
        H2.PROTOCOL_ERROR,
        `Frame of type ${type} where a header block ${continues ? "is not open" : "goes on"}`,
      );
    }
    if (type === FRAME.HEADERS || continues) this.#openBlock = (flags & FLAG.END_HEADERS) === 0 ? streamId : 0;
  }

  /** @throws Http2Fault when the length does not fit the type, or the frame would be large to keep */
  #checkLength(type: number, flags: number, streamId: number, length: number): void {
    const onConnection = type === FRAME.SETTINGS || type === FRAME.PING || type === FRAME.GOAWAY;
    if (onConnection ? streamId !== 0 : streamId === 0 && type !== FRAME.WINDOW_UPDATE) {
      throw new Http2Fault(H2.PROTOCOL_ERROR, `Frame of type ${type} on stream ${streamId}`);
    }
    if (length > MAX_FRAME_BYTES) throw new Http2Fault(H2.FRAME_SIZE_ERROR, `Frame of ${length} bytes`);
    switch (type) {
      case FRAME.HEADERS:
      case FRAME.CONTINUATION:
        if (length > this.#maxHeaderBlockBytes)
          throw new Http2Fault(H2.ENHANCE_YOUR_CALM, `Header block of more than ${length} bytes`);
        if (type === FRAME.HEADERS && length < headersPrefixBytes(flags))
          throw new Http2Fault(H2.FRAME_SIZE_ERROR, `HEADERS of ${length} bytes`);
        return;
      case FRAME.SETTINGS:
        if (length % 6 !== 0) throw new Http2Fault(H2.FRAME_SIZE_ERROR, `SETTINGS of ${length} bytes`);
        if (length > SETTINGS_ENTRIES * 6) throw new Http2Fault(H2.ENHANCE_YOUR_CALM, `SETTINGS of ${length} bytes`);
        return;
      case FRAME.GOAWAY:
        if (length < 8) throw new Http2Fault(H2.FRAME_SIZE_ERROR, `GOAWAY of ${length} bytes`);
        if (length > GOAWAY_BYTES) throw new Http2Fault(H2.ENHANCE_YOUR_CALM, `GOAWAY of ${length} bytes`);
        return;
      case FRAME.PUSH_PROMISE:
        throw new Http2Fault(H2.PROTOCOL_ERROR, "PUSH_PROMISE although push is disabled");
      default:
        if (type !== FRAME.PRIORITY && length !== (type === FRAME.PING ? 8 : 4)) {
          throw new Http2Fault(H2.FRAME_SIZE_ERROR, `Frame of type ${type} with ${length} bytes`);
        }
    }
  }

  /** Types that we do not know, and a PRIORITY that ends its stream: reported without payload, then skipped. */
  #beginUnknown(length: number): void {
    if (this.#type === FRAME.PRIORITY && this.#streamId === 0) throw new Http2Fault(H2.PROTOCOL_ERROR, "PRIORITY on stream 0");
    if (length > MAX_FRAME_BYTES) throw new Http2Fault(H2.FRAME_SIZE_ERROR, `Frame of ${length} bytes`);
    this.#sink.onFrame(this.#type, this.#flags, this.#streamId, this.#head, 0, 0);
    if (this.#left > 0) this.#state = "skip";
  }

  #beginData(length: number): void {
    if (this.#streamId === 0) throw new Http2Fault(H2.PROTOCOL_ERROR, "DATA on stream 0");
    if (length > MAX_FRAME_BYTES) throw new Http2Fault(H2.FRAME_SIZE_ERROR, `Frame of ${length} bytes`);
    this.#padding = 0;
    this.#paddingLeft = 0;
    const isPadded = (this.#flags & FLAG.PADDED) !== 0;
    if (isPadded && length === 0) throw new Http2Fault(H2.FRAME_SIZE_ERROR, "Padded DATA without a pad length");
    this.#sink.onDataFrame(this.#streamId, length);
    if (isPadded) this.#state = "dataPadLength";
    else if (length > 0) this.#state = "data";
    else this.#endData();
  }

  #startPadded(padLength: number): void {
    this.#left -= 1;
    if (padLength > this.#left) throw new Http2Fault(H2.PROTOCOL_ERROR, "DATA with more padding than payload");
    this.#left -= padLength;
    this.#padding = padLength + 1;
    this.#paddingLeft = padLength;
    if (this.#left > 0) this.#state = "data";
    else if (padLength > 0) this.#state = "dataPadding";
    else this.#endData();
  }

  #readData(slab: Slab, at: number, end: number): number {
    const count = Math.min(this.#left, end - at);
    this.#left -= count;
    // The state first: the sink may end the session from within.
    if (this.#left === 0) this.#state = this.#paddingLeft > 0 ? "dataPadding" : "head";
    this.#sink.onDataBytes(slab, at, count);
    if (this.#left === 0 && this.#paddingLeft === 0) this.#endData();
    return count;
  }

  #endData(): void {
    this.#state = "head";
    if (!this.#stopped) this.#sink.onDataFrameEnd(this.#flags, this.#padding);
  }

  #readWhole(bytes: Uint8Array, at: number, end: number): number {
    const count = Math.min(this.#left, end - at);
    if (this.#collectedLength === 0 && count === this.#left) {
      this.#state = "head";
      this.#sink.onFrame(this.#type, this.#flags, this.#streamId, bytes, at, count);
      return count;
    }
    if (this.#collected.length < this.#collectedLength + this.#left) this.#growCollected();
    this.#collected.set(bytes.subarray(at, at + count), this.#collectedLength);
    this.#collectedLength += count;
    this.#left -= count;
    if (this.#left === 0) {
      this.#state = "head";
      this.#sink.onFrame(this.#type, this.#flags, this.#streamId, this.#collected, 0, this.#collectedLength);
    }
    return count;
  }

  #growCollected(): void {
    const larger = new Uint8Array(this.#collectedLength + this.#left);
    larger.set(this.#collected.subarray(0, this.#collectedLength));
    this.#collected = larger;
  }
}

/** Pad length and priority, before the header block. */
function headersPrefixBytes(flags: number): number {
  return ((flags & FLAG.PADDED) !== 0 ? 1 : 0) + ((flags & FLAG.PRIORITY) !== 0 ? 5 : 0);
}
