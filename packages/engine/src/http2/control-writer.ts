// Writes every frame but DATA with payload.
import type { SecureChannel } from "../secure-channel.ts";
import { allocSlab } from "../slab.ts";
import { DEFAULT_MAX_FRAME_BYTES, FLAG, FRAME, FRAME_HEAD_BYTES, PREFACE, writeFrameHead, writeUint32 } from "./frames.ts";

// `write` encrypts before it returns, so one area serves all sessions of the thread.
const scratch = allocSlab(FRAME_HEAD_BYTES + DEFAULT_MAX_FRAME_BYTES);
const bytes = scratch.bytes;
const BODY = FRAME_HEAD_BYTES;

export class ControlWriter {
  readonly #channel: SecureChannel;

  constructor(channel: SecureChannel) {
    this.#channel = channel;
  }

  preface(): void {
    this.#channel.writeBytes(PREFACE);
  }

  settings(entries: readonly (readonly [id: number, value: number])[]): void {
    let at = BODY;
    for (const [id, value] of entries) {
      bytes[at] = 0;
      bytes[at + 1] = id;
      writeUint32(bytes, at + 2, value);
      at += 6;
    }
    this.#frame(FRAME.SETTINGS, 0, 0, at - BODY);
  }

  settingsAck(): void {
    this.#frame(FRAME.SETTINGS, FLAG.ACK, 0, 0);
  }

  windowUpdate(streamId: number, increment: number): void {
    writeUint32(bytes, BODY, increment);
    this.#frame(FRAME.WINDOW_UPDATE, 0, streamId, 4);
  }

  resetStream(streamId: number, h2Code: number): void {
    writeUint32(bytes, BODY, h2Code);
    this.#frame(FRAME.RST_STREAM, 0, streamId, 4);
  }

  /** Four bytes of our own; the other four are zero. */
  ping(mark: number): void {
    writeUint32(bytes, BODY, 0);
    writeUint32(bytes, BODY + 4, mark);
    this.#frame(FRAME.PING, 0, 0, 8);
  }

  pingAck(payload: Uint8Array, offset: number): void {
    for (let i = 0; i < 8; i++) bytes[BODY + i] = payload[offset + i] ?? 0;
    this.#frame(FRAME.PING, FLAG.ACK, 0, 8);
  }

  goAway(lastStreamId: number, h2Code: number, reason: string): void {
    writeUint32(bytes, BODY, lastStreamId);
    writeUint32(bytes, BODY + 4, h2Code);
    const text = Buffer.from(reason.slice(0, 200), "utf8");
    bytes.set(text, BODY + 8);
    this.#frame(FRAME.GOAWAY, 0, 0, 8 + text.length);
  }

  /** HEADERS, and CONTINUATIONs where the block is longer than the smallest maximum that a peer can have. */
  headers(streamId: number, block: Uint8Array, endStream: boolean): void {
    let at = 0;
    do {
      const length = Math.min(block.length - at, DEFAULT_MAX_FRAME_BYTES);
      const isFirst = at === 0;
      bytes.set(block.length === length ? block : block.subarray(at, at + length), BODY);
      at += length;
      const flags = (isFirst && endStream ? FLAG.END_STREAM : 0) | (at === block.length ? FLAG.END_HEADERS : 0);
      this.#frame(isFirst ? FRAME.HEADERS : FRAME.CONTINUATION, flags, streamId, length);
    } while (at < block.length);
  }

  endStream(streamId: number): void {
    this.#frame(FRAME.DATA, FLAG.END_STREAM, streamId, 0);
  }

  #frame(type: number, flags: number, streamId: number, length: number): void {
    writeFrameHead(bytes, 0, length, type, flags, streamId);
    this.#channel.write(scratch, 0, FRAME_HEAD_BYTES + length);
  }
}
