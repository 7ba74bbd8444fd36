// The side that answers streams.
import type { Engine } from "../contract.ts";
import { H2, Http2Fault } from "./faults.ts";
import { LARGEST_STREAM_ID } from "./frames.ts";
import { requestFlaw, trailerFlaw } from "./header-rules.ts";
import type { HeaderList } from "./hpack.ts";
import { SERVER_MAX_STREAMS } from "./limits.ts";
import { goAwayError, Http2Session } from "./session.ts";
import type { ConnectChannel, Http2SessionListener } from "./session-lifecycle.ts";
import { Http2Stream } from "./stream.ts";

export interface ServerSessionListener extends Http2SessionListener {
  /** A well-formed request. Set `stream.listener` to learn of its trailers, and of its cut before it is read. */
  onRequest(stream: Http2Stream, headers: HeaderList, endStream: boolean): void;
}

export class Http2ServerSession extends Http2Session {
  readonly #listener: ServerSessionListener;
  #lastId = 0;
  // Draining: "announced" after GOAWAY with the largest id, "final" after the one with the real id.
  #drain: "no" | "announced" | "final" = "no";

  constructor(engine: Engine, connect: ConnectChannel, listener: ServerSessionListener) {
    super(engine, "server", connect, listener);
    this.#listener = listener;
  }

  /**
   * Ends gracefully: streams that are under way or already sent are served, and the session closes after the last one. A peer that does not
   * follow is left to the caller's deadline (`close`).
   * @source ztunnel src/proxy/h2/server.rs graceful_shutdown; RFC 9113 section 6.8
   */
  drain(): void {
    if (this.#drain !== "no" || this.state === "closing" || this.state === "closed") return;
    this.#drain = "announced";
    if (this.state === "open") this.#announce();
  }

  protected onReady(): void {
    if (this.#drain === "announced") this.#announce();
  }

  protected onHeaders(streamId: number, list: HeaderList, endStream: boolean, overflowed: boolean): void {
    const known = this.streams.get(streamId);
    if (known !== undefined) {
      this.#onTrailers(known, list, endStream, overflowed);
      return;
    }
    if (streamId % 2 === 0) throw new Http2Fault(H2.PROTOCOL_ERROR, `Client opens stream ${streamId}`);
    if (streamId <= this.#lastId) {
      this.checkClosed(streamId, "HEADERS");
      return;
    }
    // Sent before the peer saw our GOAWAY: it knows from there that nobody processes it.
    if (this.#drain === "final") return;
    this.#lastId = streamId;
    const nowMs = this.engine.nowMs();
    if (this.streams.size >= SERVER_MAX_STREAMS) {
      this.sendReset(streamId, H2.REFUSED_STREAM);
      this.guard.onRefusedStream(nowMs);
      return;
    }
    if (overflowed || requestFlaw(list) !== undefined) {
      this.sendReset(streamId, overflowed ? H2.ENHANCE_YOUR_CALM : H2.PROTOCOL_ERROR);
      this.guard.onMalformedStream(nowMs);
      return;
    }
    const stream = new Http2Stream(this, streamId, this.peerSettings.initialWindowBytes);
    this.streams.set(streamId, stream);
    if (endStream) stream.receiveEnd();
    this.#listener.onRequest(stream, list, endStream);
  }

  /** A client's GOAWAY concerns streams that we would open: none. It will close when it is done. */
  protected onGoAway(_lastStreamId: number, h2Code: number, reason: string): void {
    if (h2Code !== H2.NO_ERROR) this.close(goAwayError(h2Code, reason));
  }

  /** The peer has read the first GOAWAY, so that everything it had sent before is here. */
  protected onMark(): void {
    if (this.#drain !== "announced") return;
    this.#drain = "final";
    this.writer.goAway(this.#lastId, H2.NO_ERROR, "");
    this.#closeWhenIdle();
  }

  protected isIdle(streamId: number): boolean {
    return streamId % 2 === 0 || (streamId > this.#lastId && this.#drain !== "final");
  }

  /** What was sent before the peer saw our GOAWAY is ignored. */
  protected override mayHear(streamId: number): boolean {
    return super.mayHear(streamId) || (this.#drain === "final" && streamId > this.#lastId);
  }

  protected onStreamGone(): void {
    this.#closeWhenIdle();
  }

  protected lastPeerStreamId(): number {
    return this.#lastId;
  }

  #onTrailers(stream: Http2Stream, list: HeaderList, endStream: boolean, overflowed: boolean): void {
    if (stream.incoming.ended) throw new Http2Fault(H2.STREAM_CLOSED, "HEADERS after END_STREAM", stream.id);
    if (overflowed || !endStream || trailerFlaw(list) !== undefined) {
      throw new Http2Fault(H2.PROTOCOL_ERROR, "Malformed trailers", stream.id);
    }
    stream.listener?.onTrailers?.(list);
    stream.receiveEnd();
  }

  #announce(): void {
    this.writer.goAway(LARGEST_STREAM_ID, H2.NO_ERROR, "");
    this.sendMark();
  }

  #closeWhenIdle(): void {
    if (this.#drain === "final" && this.streams.size === 0 && this.state === "open") this.close(undefined);
  }
}
