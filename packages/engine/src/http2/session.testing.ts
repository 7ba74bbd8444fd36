// A session without network: frames go in and come out as objects, time and turns are moved by hand.
import assert from "node:assert/strict";
import type { MeshError } from "@ambit/core";
import type { Engine } from "../contract.ts";
import type { PeerCertificate, SecureChannel, SecureChannelHandler } from "../secure-channel.ts";
import { allocScratch, HEADROOM_BYTES, MAX_CHUNK_BYTES } from "../slab.ts";
import { Http2ClientSession } from "./client-session.ts";
import { FLAG, FRAME, FRAME_HEAD_BYTES, PREFACE, readUint31, readUint32, writeFrameHead } from "./frames.ts";
import { type HeaderList, HpackDecoder, HpackEncoder } from "./hpack.ts";
import { FrameChannel, ManualEngine } from "./manual-channel.testing.ts";
import { Http2ServerSession } from "./server-session.ts";
import type { Http2Stream } from "./stream.ts";

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export function frame(type: number, flags: number, streamId: number, payload: Uint8Array | readonly number[] = []): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  writeFrameHead(head, 0, payload.length, type, flags, streamId);
  return Buffer.concat([head, Buffer.from(payload)]);
}

export function uint32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => {
    bytes.writeUInt32BE(value >>> 0, i * 4);
  });
  return bytes;
}

export function settings(...entries: readonly (readonly [id: number, value: number])[]): Buffer {
  const bytes = entries.map(([id, value]) => Buffer.concat([Buffer.from([0, id]), uint32(value)]));
  return frame(FRAME.SETTINGS, 0, 0, Buffer.concat(bytes));
}

export const REQUEST: HeaderList = [
  [":method", "CONNECT"],
  [":authority", "10.0.0.1:80"],
];

const scratch = allocScratch();
const PEER: PeerCertificate = { uris: [], notAfterMs: Number.POSITIVE_INFINITY, serial: "00", chain: () => [] };

/** What the test plays the peer of. `frames` is all that the session has sent. */
abstract class Peer {
  readonly engine = new ManualEngine();
  readonly frames: Frame[] = [];
  closed = false;
  error: MeshError | undefined;
  changes = 0;
  protected handler: SecureChannelHandler | undefined;
  protected channel: FrameChannel | undefined;
  readonly #encoder = new HpackEncoder();
  readonly #decoder = new HpackDecoder(64 * 1024);

  protected readonly connect = (handler: SecureChannelHandler): SecureChannel => {
    this.handler = handler;
    this.channel = new FrameChannel(this.engine, handler);
    return this.channel;
  };

  protected get engineForSession(): Engine {
    return this.engine as unknown as Engine;
  }

  protected readonly common = {
    onOpen: () => undefined,
    onChange: () => {
      this.changes++;
    },
    onClosed: (error: MeshError | undefined) => {
      assert.equal(this.closed, false, "onClosed came twice");
      this.closed = true;
      this.error = error;
    },
  };

  open(): void {
    this.handler?.onOpen(PEER);
    this.#collect();
  }

  /** What the channel still takes. */
  set room(bytes: number) {
    if (this.channel === undefined) return;
    const wasFull = this.channel.room === 0;
    this.channel.room = bytes;
    if (wasFull && bytes > 0) this.handler?.onWritable();
    this.#collect();
  }

  /** What happens inside the session's writes to its channel. */
  set onWrite(action: (() => void) | undefined) {
    if (this.channel !== undefined) this.channel.onWrite = action;
  }

  get channelEnd(): "closed" | "reset" | undefined {
    return this.channel?.ended;
  }

  /** Hands bytes to the session in pieces of `piece` bytes, then runs the turn to its end. */
  send(bytes: Uint8Array, piece = MAX_CHUNK_BYTES): void {
    const step = Math.min(piece, MAX_CHUNK_BYTES);
    for (let at = 0; at < bytes.length; at += step) {
      const part = bytes.subarray(at, at + step);
      scratch.bytes.set(part, HEADROOM_BYTES);
      if (this.channel?.ended === undefined) this.handler?.onData(scratch, HEADROOM_BYTES, part.length);
    }
    this.turn();
  }

  turn(): void {
    this.engine.turn();
    this.#collect();
  }

  advance(ms: number): void {
    this.engine.advance(ms);
    this.#collect();
  }

  /** The connection breaks. */
  breakWith(error: MeshError | undefined): void {
    this.handler?.onClosed(error);
    this.turn();
  }

  block(list: HeaderList): Buffer {
    return Buffer.from(this.#encoder.encode(list));
  }

  /** A block with what our encoder refuses to write: literals without index. */
  rawBlock(list: HeaderList): Buffer {
    const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value, "latin1")]);
    return Buffer.concat(list.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
  }

  headers(streamId: number, list: HeaderList, endStream = false): Buffer {
    return frame(FRAME.HEADERS, FLAG.END_HEADERS | (endStream ? FLAG.END_STREAM : 0), streamId, this.block(list));
  }

  decode(sent: Frame | undefined): HeaderList {
    assert.ok(sent !== undefined);
    return this.#decoder.decode(sent.payload, 0, sent.payload.length);
  }

  /** Frames of one type since the last call that took them, oldest first. */
  take(type: number): Frame[] {
    const found = this.frames.filter((sent) => sent.type === type);
    const rest = this.frames.filter((sent) => sent.type !== type);
    this.frames.length = 0;
    this.frames.push(...rest);
    return found;
  }

  /** Code of the last GOAWAY, undefined when the session has not ended. */
  get goAway(): number | undefined {
    const last = this.frames.findLast((sent) => sent.type === FRAME.GOAWAY);
    return last === undefined ? undefined : readUint32(last.payload, 4);
  }

  get goAwayStream(): number | undefined {
    const last = this.frames.findLast((sent) => sent.type === FRAME.GOAWAY);
    return last === undefined ? undefined : readUint31(last.payload, 0);
  }

  resetCode(streamId: number): number | undefined {
    const found = this.frames.find((sent) => sent.type === FRAME.RST_STREAM && sent.streamId === streamId);
    return found === undefined ? undefined : readUint32(found.payload, 0);
  }

  #collect(): void {
    let bytes = this.channel?.take() ?? Buffer.alloc(0);
    if (bytes.subarray(0, PREFACE.length).equals(PREFACE)) bytes = bytes.subarray(PREFACE.length);
    for (let at = 0; at < bytes.length; ) {
      const length = bytes.readUIntBE(at, 3);
      const payload = bytes.subarray(at + FRAME_HEAD_BYTES, at + FRAME_HEAD_BYTES + length);
      assert.equal(payload.length, length, "a frame is not complete");
      this.frames.push({
        type: bytes[at + 3] ?? 0,
        flags: bytes[at + 4] ?? 0,
        streamId: readUint31(bytes, at + 5),
        payload,
      });
      at += FRAME_HEAD_BYTES + length;
    }
  }
}

export interface SeenRequest {
  readonly stream: Http2Stream;
  readonly headers: HeaderList;
  readonly endStream: boolean;
  cut: MeshError | undefined;
  trailers: HeaderList | undefined;
}

/** A server session whose client is the test. */
export class ServerUnderTest extends Peer {
  readonly requests: SeenRequest[] = [];
  readonly session: Http2ServerSession;

  constructor(greet = true) {
    super();
    this.session = new Http2ServerSession(this.engineForSession, this.connect, {
      ...this.common,
      onRequest: (stream, headers, endStream) => {
        const seen: SeenRequest = { stream, headers, endStream, cut: undefined, trailers: undefined };
        this.requests.push(seen);
        stream.listener = {
          onHeaders: () => assert.fail("response on a server"),
          onTrailers: (trailers) => {
            seen.trailers = trailers;
          },
          onCut: (error) => {
            seen.cut = error;
          },
        };
      },
    });
    this.open();
    if (greet) this.send(Buffer.concat([PREFACE, settings()]));
  }

  get receivedUnconsumed(): number {
    return this.session.receive.unconsumedBytes;
  }

  /** Opens a stream and answers 200. */
  accept(streamId: number): Http2Stream {
    this.send(this.headers(streamId, REQUEST));
    const stream = this.requests.at(-1)?.stream;
    assert.equal(stream?.id, streamId);
    stream.respond([[":status", "200"]], false);
    this.turn();
    return stream;
  }
}

/** A client session whose server is the test. */
export class ClientUnderTest extends Peer {
  readonly session: Http2ClientSession;
  ready = 0;

  constructor(greet = true) {
    super();
    this.session = new Http2ClientSession(this.engineForSession, this.connect, {
      ...this.common,
      onReady: () => {
        this.ready++;
      },
    });
    this.open();
    if (greet) this.send(settings());
  }

  request(): SeenResponse {
    const seen = new SeenResponse();
    seen.stream = this.session.request(REQUEST, false, {
      onHeaders: (headers) => {
        seen.headers = headers;
      },
      onTrailers: (trailers) => {
        seen.trailers = trailers;
      },
      onCut: (error) => {
        seen.cut = error;
      },
    });
    this.turn();
    return seen;
  }
}

export class SeenResponse {
  stream: Http2Stream | undefined;
  headers: HeaderList | undefined;
  trailers: HeaderList | undefined;
  cut: MeshError | undefined;
}

/** What a stream hands to its handler. */
export class StreamLog {
  readonly chunks: Buffer[] = [];
  ended = false;
  error: MeshError | undefined;
  drains = 0;

  constructor(stream: Http2Stream) {
    stream.handle({
      onData: (chunk) => this.chunks.push(Buffer.from(chunk)),
      onEnd: () => {
        this.ended = true;
      },
      onError: (error) => {
        this.error = error;
      },
      onDrain: () => {
        this.drains++;
      },
    });
  }

  get length(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }
}
