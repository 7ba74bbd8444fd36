// One HTTP/2 connection over TLS from its handshake to its end, and the table of its streams.
//
// States: connecting (TLS handshake) -> open -> closing (nothing more is processed, the channel is ending) -> closed.
import { asMeshError, MeshError } from "@ambit/core";
import type { Engine } from "../contract.ts";
import type { PeerCertificate, SecureChannel, SecureChannelHandler } from "../secure-channel.ts";
import type { Slab } from "../slab.ts";
import { ControlWriter } from "./control-writer.ts";
import { H2, Http2Fault } from "./faults.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import { DEFAULT_WINDOW_BYTES } from "./frames.ts";
import { HpackEncoder } from "./hpack.ts";
import { CLIENT_HEADER_LIST_BYTES, CONNECTION_WINDOW_BYTES, FloodGuard, SERVER_HEADER_LIST_BYTES } from "./limits.ts";
import { Liveness } from "./liveness.ts";
import { ADVERTISED } from "./peer-settings.ts";
import { ReceiveSide } from "./receive-side.ts";
import { ResetStreams } from "./reset-streams.ts";
import { SendSide } from "./send-side.ts";
import type { Http2Stream, StreamOwner } from "./stream.ts";

export interface Http2SessionListener {
  /** The peer is authenticated. An error returned here refuses it: nothing is sent to it, and `onClosed` gets the error. */
  onOpen(peer: PeerCertificate): MeshError | undefined;
  /** A stream has ended, or the peer's limits have changed, or no stream can be opened any more. */
  onChange?(): void;
  /** Once, last; undefined when it ended in order. Open streams have been told before. */
  onClosed(error: MeshError | undefined): void;
}

/** Opens the TLS channel whose events go to `handler`. */
export type ConnectChannel = (handler: SecureChannelHandler) => SecureChannel;

export abstract class SessionLifecycle implements SecureChannelHandler, StreamOwner {
  readonly send: SendSide;
  readonly receive: ReceiveSide;
  protected readonly engine: Engine;
  protected readonly writer: ControlWriter;
  protected readonly streams = new Map<number, Http2Stream>();
  protected readonly resets = new ResetStreams();
  protected readonly guard = new FloodGuard();
  protected readonly encoder = new HpackEncoder();
  protected readonly role: "client" | "server";
  protected readonly maxHeaderListBytes: number;
  /** The stream of the DATA frame that is being read; undefined when it is gone. */
  protected current: Http2Stream | undefined;
  protected state: "connecting" | "open" | "closing" | "closed" = "connecting";
  readonly #listener: Http2SessionListener;
  readonly #channel: SecureChannel;
  readonly #reader: FrameReader;
  #liveness: Liveness | undefined;
  #error: MeshError | undefined;

  constructor(engine: Engine, role: "client" | "server", connect: ConnectChannel, listener: Http2SessionListener) {
    this.engine = engine;
    this.role = role;
    this.#listener = listener;
    this.maxHeaderListBytes = role === "client" ? CLIENT_HEADER_LIST_BYTES : SERVER_HEADER_LIST_BYTES;
    this.#channel = connect(this);
    this.writer = new ControlWriter(this.#channel);
    this.send = new SendSide(this.#channel, this.writer, this.encoder, this.guard);
    this.receive = new ReceiveSide(this.writer);
    this.#reader = new FrameReader(role, this.maxHeaderListBytes, this.frames());
  }

  get openStreams(): number {
    return this.streams.size;
  }

  /** Whoever gets the frames. */
  protected abstract frames(): FrameSink;
  /** Streams may be opened now. */
  protected abstract onReady(): void;
  /** A stream has left the table. */
  protected abstract onStreamGone(stream: Http2Stream): void;
  /** The highest stream of the peer that was processed. */
  protected abstract lastPeerStreamId(): number;

  onOpen(peer: PeerCertificate): void {
    const refusal = this.#listener.onOpen(peer);
    if (refusal !== undefined) {
      this.close(refusal);
      return;
    }
    if (this.state !== "connecting") return;
    this.state = "open";
    if (this.role === "client") this.writer.preface();
    this.writer.settings(ADVERTISED[this.role]);
    this.writer.windowUpdate(0, CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES);
    this.#liveness = new Liveness(
      this.engine,
      () => this.writer.ping(0),
      () => this.#onSilent(),
    );
    this.onReady();
  }

  onData(slab: Slab, offset: number, length: number): void {
    if (this.state !== "open") return;
    this.#liveness?.heard();
    try {
      this.#reader.read(slab, offset, length);
    } catch (error) {
      this.fault(error);
    }
  }

  onWritable(): void {
    if (this.state === "open") this.send.proceed();
  }

  onClosed(error: MeshError | undefined): void {
    if (this.state === "closed") return;
    const why = this.#error ?? error;
    this.state = "closed";
    this.#stop();
    const lost = why ?? new MeshError("ENGINE_HTTP2_SESSION_CLOSED", "Peer closed the connection while streams were open");
    this.#failStreams(lost);
    this.#listener.onClosed(why);
  }

  /** Ends in order: what was written is sent. Streams that are open are cut. `error` is what `onClosed` gets. */
  close(error: MeshError | undefined, h2Code: number = H2.NO_ERROR): void {
    if (this.state === "closing" || this.state === "closed") return;
    const wasOpen = this.state === "open";
    this.#error = error;
    this.state = "closing";
    this.#stop();
    if (!wasOpen) {
      this.#channel.reset();
      return;
    }
    // A peer must not take the end of the connection for the end of a stream's data.
    for (const id of this.streams.keys()) this.writer.resetStream(id, H2.CONNECT_ERROR);
    this.writer.goAway(this.lastPeerStreamId(), h2Code, error?.message ?? "");
    this.#failStreams(error ?? new MeshError("ENGINE_HTTP2_SESSION_CLOSED", "The session was closed while streams were open"));
    this.#channel.close();
  }

  defer(action: () => void): void {
    this.engine.defer(action);
  }

  resetStream(stream: Http2Stream, h2Code: number): void {
    this.sendReset(stream.id, h2Code);
    this.drop(stream);
  }

  streamEnded(stream: Http2Stream): void {
    this.drop(stream);
  }

  /** Something changed that whoever opens streams wants to know. */
  protected changed(): void {
    this.#listener.onChange?.();
  }

  #onSilent(): void {
    this.#error = new MeshError(
      "ENGINE_HTTP2_PEER_SILENT",
      "Nothing came from the peer for 20 s after a PING; its node or pod may be gone",
    );
    this.state = "closing";
    this.#stop();
    this.#channel.reset();
  }

  /** A broken rule ends its stream or the session. Anything else is our own mistake, and ends the session too: its state is unknown. */
  protected fault(error: unknown): void {
    if (error instanceof Http2Fault && error.streamId !== 0) {
      const stream = this.streams.get(error.streamId);
      if (stream !== undefined) this.failStream(stream, error);
      return;
    }
    const fault = error instanceof Http2Fault ? error : undefined;
    this.close(fault?.toMeshError() ?? asMeshError(error, "ENGINE_HTTP2_INTERNAL"), fault?.h2Code ?? H2.INTERNAL_ERROR);
  }

  protected sendReset(streamId: number, h2Code: number): void {
    if (this.state !== "open") return;
    this.resets.add(streamId);
    this.writer.resetStream(streamId, h2Code);
  }

  /** Resets a stream on which the peer has broken a rule. */
  protected failStream(stream: Http2Stream, fault: Http2Fault): void {
    this.resetStream(stream, fault.h2Code);
    stream.fail(fault.toMeshError());
    try {
      this.guard.onMalformedStream(this.engine.nowMs());
    } catch (flood) {
      this.fault(flood);
    }
  }

  /** Takes a stream out of the table; it is told by the caller. */
  protected drop(stream: Http2Stream): void {
    if (!this.streams.delete(stream.id)) return;
    if (this.current === stream) this.current = undefined;
    this.onStreamGone(stream);
    this.changed();
  }

  #failStreams(error: MeshError): void {
    const open = [...this.streams.values()];
    this.streams.clear();
    for (const stream of open) stream.fail(error);
  }

  #stop(): void {
    this.#reader.stop();
    this.#liveness?.stop();
  }
}
