// Frames to streams and settings: what the two roles of an HTTP/2 session share.
import { MeshError } from "@ambit/core";
import type { Slab } from "../slab.ts";
import { H2, Http2Fault, h2CodeName } from "./faults.ts";
import type { FrameSink } from "./frame-reader.ts";
import { FLAG, FRAME, readUint31, readUint32 } from "./frames.ts";
import { HeaderBlock } from "./header-block.ts";
import { type HeaderList, HpackDecoder } from "./hpack.ts";
import { PeerSettings } from "./peer-settings.ts";
import { SessionLifecycle } from "./session-lifecycle.ts";

export abstract class Http2Session extends SessionLifecycle implements FrameSink {
  protected readonly peerSettings = new PeerSettings(this.role);
  readonly #decoder = new HpackDecoder(this.maxHeaderListBytes);
  readonly #block = new HeaderBlock(this.maxHeaderListBytes);
  #currentLength = 0;

  /** A complete header block; `list` is truncated when `overflowed`. */
  protected abstract onHeaders(streamId: number, list: HeaderList, endStream: boolean, overflowed: boolean): void;
  protected abstract onGoAway(lastStreamId: number, h2Code: number, reason: string): void;
  /** The answer to `sendMark`. */
  protected abstract onMark(): void;
  /** A stream id that was never opened breaks the protocol; those of streams that are gone do not. */
  protected abstract isIdle(streamId: number): boolean;

  /** @throws Http2Fault on the connection for a stream that was never opened, or has ended in a way that the peer knows */
  protected checkClosed(streamId: number, what: string): void {
    if (this.isIdle(streamId)) throw new Http2Fault(H2.PROTOCOL_ERROR, `${what} on idle stream ${streamId}`);
    if (!this.mayHear(streamId)) throw new Http2Fault(H2.STREAM_CLOSED, `${what} on stream ${streamId}, which has ended`);
  }

  protected mayHear(streamId: number): boolean {
    return this.resets.mayHear(streamId);
  }

  protected frames(): FrameSink {
    return this;
  }

  onDataFrame(streamId: number, length: number): void {
    this.receive.onFrame(length);
    const stream = this.streams.get(streamId);
    if (stream === undefined) this.checkClosed(streamId, "DATA");
    this.current = stream;
    this.#currentLength = 0;
    if (stream === undefined) return;
    try {
      stream.incoming.onFrame(length);
    } catch (error) {
      this.current = undefined;
      this.fault(error);
    }
  }

  onDataBytes(slab: Slab, offset: number, length: number): void {
    this.#currentLength += length;
    this.current?.incoming.onBytes(slab, offset, length);
  }

  onDataFrameEnd(flags: number, padding: number): void {
    const endStream = (flags & FLAG.END_STREAM) !== 0;
    if (this.#currentLength === 0 && !endStream) this.guard.onEmptyData(this.engine.nowMs());
    const stream = this.current;
    this.current = undefined;
    if (stream === undefined) return;
    if (padding > 0) stream.incoming.onPadding(padding);
    if (endStream) stream.receiveEnd();
  }

  onFrame(type: number, flags: number, streamId: number, bytes: Uint8Array, offset: number, length: number): void {
    try {
      this.#onControlFrame(type, flags, streamId, bytes, offset, length);
    } catch (error) {
      // Here and not around the read: a broken stream must not take the rest of the read with it.
      this.fault(error);
    }
  }

  #onControlFrame(type: number, flags: number, streamId: number, bytes: Uint8Array, offset: number, length: number): void {
    switch (type) {
      case FRAME.WINDOW_UPDATE:
        this.#onWindowUpdate(streamId, readUint31(bytes, offset));
        return;
      case FRAME.HEADERS:
        if (this.#block.begin(flags, streamId, bytes, offset, length)) this.#onBlock();
        return;
      case FRAME.CONTINUATION:
        if (this.#block.continue(flags, bytes, offset, length)) this.#onBlock();
        return;
      case FRAME.RST_STREAM:
        this.#onReset(streamId, readUint32(bytes, offset));
        return;
      case FRAME.SETTINGS:
        this.#onSettings(flags, bytes, offset, length);
        return;
      case FRAME.PING:
        this.#onPing(flags, bytes, offset);
        return;
      case FRAME.GOAWAY:
        this.onGoAway(
          readUint31(bytes, offset),
          readUint32(bytes, offset + 4),
          Buffer.from(bytes.subarray(offset + 8, offset + Math.min(length, 208))).toString("latin1"),
        );
        return;
      default:
        // PRIORITY and unknown types have no effect. RFC 9113 sections 5.3.2 and 5.5.
        this.guard.onIdleFrame(this.engine.nowMs());
        if (type === FRAME.PRIORITY && length !== 5)
          throw new Http2Fault(H2.FRAME_SIZE_ERROR, "PRIORITY of another length than 5", streamId);
    }
  }

  /** A PING whose answer proves that the peer has read everything before it. */
  protected sendMark(): void {
    this.writer.ping(MARK);
  }

  #onBlock(): void {
    const { streamId, bytes, start, end, endStream } = this.#block;
    const list = this.#decoder.decode(bytes, start, end);
    this.onHeaders(streamId, list, endStream, this.#decoder.overflowed);
  }

  #onWindowUpdate(streamId: number, increment: number): void {
    this.guard.onWindowUpdate(this.engine.nowMs());
    const stream = this.streams.get(streamId);
    if (streamId !== 0 && stream === undefined && this.isIdle(streamId)) {
      throw new Http2Fault(H2.PROTOCOL_ERROR, `WINDOW_UPDATE on idle stream ${streamId}`);
    }
    if (increment === 0) throw new Http2Fault(H2.PROTOCOL_ERROR, "WINDOW_UPDATE of 0", streamId);
    if (streamId === 0) this.send.widen(increment);
    else stream?.outgoing.widen(increment, false);
  }

  #onReset(streamId: number, h2Code: number): void {
    const stream = this.streams.get(streamId);
    if (stream === undefined) {
      if (this.isIdle(streamId)) throw new Http2Fault(H2.PROTOCOL_ERROR, `RST_STREAM on idle stream ${streamId}`);
      return;
    }
    if (this.role === "server" && !stream.answered) this.guard.onEarlyReset(this.engine.nowMs());
    this.drop(stream);
    stream.receiveReset(h2Code);
  }

  #onSettings(flags: number, bytes: Uint8Array, offset: number, length: number): void {
    if ((flags & FLAG.ACK) !== 0) {
      if (length !== 0) throw new Http2Fault(H2.FRAME_SIZE_ERROR, "SETTINGS acknowledgement with content");
      this.guard.onIdleFrame(this.engine.nowMs());
      return;
    }
    this.guard.onSettings(this.engine.nowMs());
    const before = this.peerSettings.initialWindowBytes;
    this.peerSettings.apply(bytes, offset, length);
    this.encoder.setPeerTableSize(this.peerSettings.headerTableBytes);
    this.send.maxFrameBytes = this.peerSettings.maxFrameBytes;
    this.writer.settingsAck();
    const change = this.peerSettings.initialWindowBytes - before;
    if (change !== 0) for (const stream of [...this.streams.values()]) stream.outgoing.widen(change, true);
    this.changed();
  }

  #onPing(flags: number, bytes: Uint8Array, offset: number): void {
    if ((flags & FLAG.ACK) === 0) {
      this.guard.onPing(this.engine.nowMs());
      this.writer.pingAck(bytes, offset);
      return;
    }
    this.guard.onIdleFrame(this.engine.nowMs());
    if (readUint32(bytes, offset + 4) === MARK) this.onMark();
  }
}

/** Tells our two kinds of PING apart. */
const MARK = 0x616d6274;

/** For the access line: what a GOAWAY said. */
export function goAwayError(h2Code: number, reason: string): MeshError {
  const said = reason === "" ? "" : `: ${reason}`;
  return new MeshError("ENGINE_HTTP2_GOAWAY", `Peer ended the session with ${h2CodeName(h2Code)}${said}`, {
    details: { http2Code: h2Code },
  });
}
