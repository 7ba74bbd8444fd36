// The side that opens streams.
import { MeshError } from "@ambit/core";
import type { Engine } from "../contract.ts";
import { H2, Http2Fault } from "./faults.ts";
import { LARGEST_STREAM_ID } from "./frames.ts";
import { responseFlaw, trailerFlaw } from "./header-rules.ts";
import type { HeaderList } from "./hpack.ts";
import { CLIENT_MAX_STREAMS } from "./limits.ts";
import { goAwayError, Http2Session } from "./session.ts";
import type { ConnectChannel, Http2SessionListener } from "./session-lifecycle.ts";
import { Http2Stream, type Http2StreamListener } from "./stream.ts";

export interface ClientSessionListener extends Http2SessionListener {
  /** Streams may be opened now. */
  onReady(): void;
}

export class Http2ClientSession extends Http2Session {
  readonly #listener: ClientSessionListener;
  #nextId = 1;
  #retired = false;
  #goAway: MeshError | undefined;

  constructor(engine: Engine, connect: ConnectChannel, listener: ClientSessionListener) {
    super(engine, "client", connect, listener);
    this.#listener = listener;
  }

  /** Streams that may be opened now. */
  get room(): number {
    if (this.state !== "open" || this.#retired) return 0;
    return Math.max(0, Math.min(CLIENT_MAX_STREAMS, this.peerSettings.maxConcurrentStreams) - this.streams.size);
  }

  /** False once no stream will ever be opened here again. */
  get usable(): boolean {
    return !this.#retired && (this.state === "open" || this.state === "connecting");
  }

  /**
   * Sends a request. The caller has looked at `room`.
   * @throws ENGINE_HTTP2_HEADERS_INVALID, ENGINE_HTTP2_SESSION_CLOSED; nothing was sent then
   */
  request(headers: HeaderList, endStream: boolean, listener: Http2StreamListener): Http2Stream {
    if (this.room === 0) throw new MeshError("ENGINE_HTTP2_SESSION_CLOSED", "The session takes no new streams");
    const id = this.#nextId;
    this.send.sendHeaders(id, headers, endStream);
    this.#nextId += 2;
    if (this.#nextId > LARGEST_STREAM_ID) this.#retired = true;
    const stream = new Http2Stream(this, id, this.peerSettings.initialWindowBytes);
    stream.listener = listener;
    if (endStream) stream.outgoing.endedByHeaders();
    this.streams.set(id, stream);
    return stream;
  }

  /** No new streams; closes when the open ones have ended. */
  drain(): void {
    this.#retired = true;
    this.#closeWhenIdle();
  }

  protected onReady(): void {
    this.#listener.onReady();
  }

  protected onHeaders(streamId: number, list: HeaderList, endStream: boolean, overflowed: boolean): void {
    const stream = this.streams.get(streamId);
    if (stream === undefined) {
      this.checkClosed(streamId, "HEADERS");
      return;
    }
    const isTrailers = stream.answered;
    const flaw = overflowed ? "too large" : isTrailers ? trailerFlaw(list) : responseFlaw(list);
    const isInterim = !isTrailers && list[0]?.[1].startsWith("1") === true;
    if (stream.incoming.ended) throw new Http2Fault(H2.STREAM_CLOSED, "HEADERS after END_STREAM", streamId);
    if (flaw !== undefined || (isTrailers && !endStream) || (isInterim && endStream)) {
      throw new Http2Fault(H2.PROTOCOL_ERROR, `Malformed response headers: ${flaw ?? "out of place"}`, streamId);
    }
    if (isInterim) return;
    stream.answered = true;
    const { listener } = stream;
    if (isTrailers) listener?.onTrailers?.(list);
    else listener?.onHeaders(list, endStream);
    if (endStream) stream.receiveEnd();
  }

  /** Streams above `lastStreamId` were not processed. The others go on, whatever the code: a reset or the end of the connection will tell. */
  protected onGoAway(lastStreamId: number, h2Code: number, reason: string): void {
    this.#retired = true;
    if (h2Code !== H2.NO_ERROR) this.#goAway = goAwayError(h2Code, reason);
    const unprocessed = [...this.streams.values()].filter((stream) => stream.id > lastStreamId);
    for (const stream of unprocessed) {
      this.resets.add(stream.id);
      this.drop(stream);
      stream.fail(new MeshError("ENGINE_HTTP2_REFUSED", "Peer ended the session before it processed the request"));
    }
    this.changed();
    this.#closeWhenIdle();
  }

  protected onMark(): void {
    // A client marks nothing.
  }

  /** All even ids are idle for ever: push is disabled. */
  protected isIdle(streamId: number): boolean {
    return streamId % 2 === 0 || streamId >= this.#nextId;
  }

  protected onStreamGone(): void {
    this.#closeWhenIdle();
  }

  protected lastPeerStreamId(): number {
    return 0;
  }

  #closeWhenIdle(): void {
    if (this.#retired && this.streams.size === 0 && this.state === "open") this.close(this.#goAway);
  }
}
