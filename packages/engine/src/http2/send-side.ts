// What the streams of one session share for sending: the connection window, the channel's room, and whose turn it is.
import type { SecureChannel } from "../secure-channel.ts";
import type { Slab } from "../slab.ts";
import type { ControlWriter } from "./control-writer.ts";
import { H2, Http2Fault } from "./faults.ts";
import { DEFAULT_MAX_FRAME_BYTES, DEFAULT_WINDOW_BYTES, FRAME_HEAD_BYTES, LARGEST_WINDOW_BYTES } from "./frames.ts";
import type { HpackEncoder } from "./hpack-encoder.ts";
import type { HeaderList } from "./hpack-table.ts";
import type { FloodGuard } from "./limits.ts";
import type { OutgoingBody } from "./outgoing-body.ts";

export class SendSide {
  /** The peer's SETTINGS_MAX_FRAME_SIZE. */
  maxFrameBytes = DEFAULT_MAX_FRAME_BYTES;
  readonly #channel: SecureChannel;
  readonly #writer: ControlWriter;
  readonly #encoder: HpackEncoder;
  readonly #guard: FloodGuard;
  #window = DEFAULT_WINDOW_BYTES;
  // In order of arrival: who had room last waits longest.
  readonly #waiting = new Set<OutgoingBody>();

  constructor(channel: SecureChannel, writer: ControlWriter, encoder: HpackEncoder, guard: FloodGuard) {
    this.#channel = channel;
    this.#writer = writer;
    this.#encoder = encoder;
    this.#guard = guard;
  }

  capacity(): number {
    return this.#window <= 0 ? 0 : Math.min(this.#window, this.#channel.capacity());
  }

  /** A frame whose head is at `offset`, with `length` bytes of payload behind it. */
  sendData(slab: Slab, offset: number, length: number): void {
    this.#window -= length;
    this.#guard.onDataSent();
    this.#channel.write(slab, offset, FRAME_HEAD_BYTES + length);
  }

  /** @throws ENGINE_HTTP2_HEADERS_INVALID, before anything is written */
  sendHeaders(streamId: number, headers: HeaderList, endStream: boolean): void {
    this.#writer.headers(streamId, this.#encoder.encode(headers), endStream);
  }

  sendEnd(streamId: number, trailers: HeaderList | undefined): void {
    if (trailers === undefined) this.#writer.endStream(streamId);
    else this.sendHeaders(streamId, trailers, true);
  }

  await(body: OutgoingBody): void {
    this.#waiting.add(body);
  }

  forget(body: OutgoingBody): void {
    this.#waiting.delete(body);
  }

  /** WINDOW_UPDATE of the connection. @throws Http2Fault FLOW_CONTROL_ERROR */
  widen(bytes: number): void {
    const wasShut = this.#window <= 0;
    this.#window += bytes;
    if (this.#window > LARGEST_WINDOW_BYTES) throw new Http2Fault(H2.FLOW_CONTROL_ERROR, "Window grows above 2^31 - 1");
    if (wasShut) this.proceed();
  }

  /** Gives each waiting stream its turn while there is room; who waits again goes to the end. */
  proceed(): void {
    for (const body of this.#waiting) {
      if (this.capacity() <= 0) return;
      this.#waiting.delete(body);
      body.proceed();
    }
  }
}
