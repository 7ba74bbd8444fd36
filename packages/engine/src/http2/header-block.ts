// Puts a header block together from HEADERS and its CONTINUATIONs, within bounds.
import { H2, Http2Fault } from "./faults.ts";
import { FLAG } from "./frames.ts";
import { HEADER_BLOCK_FRAMES } from "./limits.ts";

export class HeaderBlock {
  streamId = 0;
  endStream = false;
  /** The block, valid until the next frame. */
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  readonly #maxBytes: number;
  #frames = 0;
  #parts: Uint8Array[] = [];
  #partBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Takes a HEADERS frame; true when the block is complete with it. @throws Http2Fault */
  begin(flags: number, streamId: number, bytes: Uint8Array, offset: number, length: number): boolean {
    this.streamId = streamId;
    this.endStream = (flags & FLAG.END_STREAM) !== 0;
    let start = offset;
    let end = offset + length;
    if ((flags & FLAG.PADDED) !== 0) end -= bytes[start++] ?? 0;
    if ((flags & FLAG.PRIORITY) !== 0) start += 5;
    if (start > end) throw new Http2Fault(H2.PROTOCOL_ERROR, "HEADERS with more padding than payload");
    if ((flags & FLAG.END_HEADERS) !== 0) {
      this.bytes = bytes;
      this.start = start;
      this.end = end;
      return true;
    }
    this.#frames = 0;
    this.#parts = [];
    this.#partBytes = 0;
    this.#add(bytes, start, end);
    return false;
  }

  /** Takes a CONTINUATION of the same block; true when that completes it. @throws Http2Fault ENHANCE_YOUR_CALM */
  continue(flags: number, bytes: Uint8Array, offset: number, length: number): boolean {
    this.#add(bytes, offset, offset + length);
    if ((flags & FLAG.END_HEADERS) === 0) return false;
    this.bytes = Buffer.concat(this.#parts);
    this.start = 0;
    this.end = this.bytes.length;
    this.#parts = [];
    return true;
  }

  #add(bytes: Uint8Array, start: number, end: number): void {
    this.#frames++;
    this.#partBytes += end - start;
    if (this.#frames > HEADER_BLOCK_FRAMES || this.#partBytes > this.#maxBytes) {
      throw new Http2Fault(H2.ENHANCE_YOUR_CALM, `Header block of ${this.#frames} frames and more than ${this.#partBytes} bytes`);
    }
    this.#parts.push(bytes.slice(start, end));
  }
}
