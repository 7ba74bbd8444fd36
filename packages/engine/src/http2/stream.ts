// One HTTP/2 stream: a message each way, usable as a byte stream or as one side of a relay.
//
// A stream is over when both directions have ended (clean), or when either side has reset it or the session has gone (cut). Of a cut learns
// whoever reads then: the relay, else the handler, else the listener. Who begins to read a stream that is cut already learns of it too.
import { MeshError } from "@ambit/core";
import type { StreamHandler } from "../contract.ts";
import { RELAY_SIDE, type RelayableStream, type RelaySide } from "../relay-side.ts";
import { MAX_CHUNK_BYTES, type Slab } from "../slab.ts";
import { H2, h2CodeName } from "./faults.ts";
import type { HeaderList } from "./hpack-table.ts";
import { IncomingBody, type IncomingOwner } from "./incoming-body.ts";
import { OutgoingBody, type OutgoingOwner } from "./outgoing-body.ts";
import type { ReceiveSide } from "./receive-side.ts";
import type { SendSide } from "./send-side.ts";

/** What happens to a stream besides bytes. */
export interface Http2StreamListener {
  /** Client side: the final response (interim ones are skipped). */
  onHeaders(headers: HeaderList, endStream: boolean): void;
  onTrailers?(headers: HeaderList): void;
  /** The stream was cut before anybody read it. ENGINE_TUNNEL_RESET, ENGINE_HTTP2_REFUSED, … */
  onCut(error: MeshError): void;
}

/** The session, as its streams see it. */
export interface StreamOwner {
  readonly send: SendSide;
  readonly receive: ReceiveSide;
  defer(action: () => void): void;
  /** Tells the peer and takes the stream out of the table. */
  resetStream(stream: Http2Stream, h2Code: number): void;
  /** Both directions have ended on the wire. */
  streamEnded(stream: Http2Stream): void;
}

export class Http2Stream implements RelayableStream, RelaySide, OutgoingOwner, IncomingOwner {
  readonly id: number;
  readonly outgoing: OutgoingBody;
  readonly incoming: IncomingBody;
  listener: Http2StreamListener | undefined;
  /** Client: the response has come. Server: the answer was sent. */
  answered = false;
  readonly #owner: StreamOwner;
  #handler: StreamHandler | undefined;
  #peer: RelaySide | undefined;
  #onClosed: ((error: MeshError | undefined) => void) | undefined;
  /** No longer in the session's table. */
  #detached = false;
  #cut = false;
  /** Why, unless we cut it ourselves. */
  #cutBy: MeshError | undefined;

  constructor(owner: StreamOwner, id: number, sendWindow: number) {
    this.#owner = owner;
    this.id = id;
    this.outgoing = new OutgoingBody(this, owner.send, sendWindow);
    this.incoming = new IncomingBody(this, owner.receive);
  }

  /**
   * Server: answers, once. With `endStream` there is no body, and a request that still goes on is told to stop (RST NO_ERROR, RFC 9113 section 8.1).
   * @throws ENGINE_HTTP2_HEADERS_INVALID, before anything is written
   */
  respond(headers: HeaderList, endStream: boolean): void {
    if (this.#detached) return;
    this.#owner.send.sendHeaders(this.id, headers, endStream);
    this.answered = true;
    if (!endStream) return;
    this.outgoing.endedByHeaders();
    if (this.incoming.ended) this.onOutgoingEnded();
    else {
      this.#cut = true;
      this.incoming.abandon();
      this.#owner.resetStream(this, H2.NO_ERROR);
    }
  }

  /** Ends our direction with trailers after what was written. */
  endWithTrailers(trailers: HeaderList): void {
    this.outgoing.end(trailers);
  }

  handle(handler: StreamHandler): void {
    this.#handler = handler;
    this.incoming.handTo(handler);
    const cutBy = this.#cutBy;
    this.#owner.defer(() => (cutBy === undefined ? this.resume() : handler.onError(cutBy)));
  }

  pause(): void {
    this.incoming.pause();
  }

  resume(): void {
    if (this.#handler !== undefined && !this.#cut) this.incoming.resume();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#cut) return true;
    if (this.outgoing.dead) {
      this.#failWrite();
      return true;
    }
    this.outgoing.write(bytes);
    return this.outgoing.capacity() > 0;
  }

  end(): void {
    this.outgoing.end(undefined);
    this.#finishIfDone();
  }

  /** Cuts with CONNECT_ERROR: peers take NO_ERROR and CANCEL for the end of data. RFC 9113 section 8.5; ztunnel src/proxy/h2.rs */
  reset(): void {
    this.resetWith(H2.CONNECT_ERROR);
  }

  /** Cuts with another code; no callback follows. */
  resetWith(h2Code: number): void {
    if (this.#cut) return;
    this.#abandon();
    if (!this.#detached) this.#owner.resetStream(this, h2Code);
  }

  [RELAY_SIDE](): RelaySide {
    return this;
  }

  join(peer: RelaySide, onClosed: (error: MeshError | undefined) => void): void {
    this.#peer = peer;
    const cutBy = this.#cutBy;
    if (cutBy !== undefined) {
      this.#owner.defer(() => onClosed(cutBy));
      return;
    }
    this.#onClosed = onClosed;
    this.incoming.relayTo(peer);
    this.#owner.defer(() => {
      if (!this.#cut) this.incoming.resume();
    });
  }

  get relayedBytes(): number {
    return this.incoming.relayedBytes;
  }

  capacity(): number {
    // To a stream that takes nothing, bytes must come: only then is it known that they are lost.
    return this.outgoing.dead ? MAX_CHUNK_BYTES : this.outgoing.capacity();
  }

  push(slab: Slab, offset: number, length: number): void {
    if (this.#cut) return;
    if (this.outgoing.dead) {
      this.#failWrite();
      return;
    }
    const sent = this.outgoing.push(slab, offset, length);
    if (sent > 0) this.#peer?.onCredit(sent);
  }

  pushEnd(): void {
    this.end();
  }

  onCapacity(): void {
    // What was received must be handed on whether there is room or not; window is granted by credit.
  }

  onCredit(length: number): void {
    this.incoming.onConsumed(length);
  }

  onPendingSent(length: number): void {
    this.#peer?.onCredit(length);
  }

  onRoom(): void {
    if (this.#peer !== undefined) this.#peer.onCapacity();
    else this.#handler?.onDrain?.();
  }

  onOutgoingEnded(): void {
    if (this.incoming.ended) this.#detach();
    this.#finishIfDone();
  }

  onIncomingEnded(): void {
    this.#finishIfDone();
  }

  /** END_STREAM has come. */
  receiveEnd(): void {
    this.incoming.onEnd();
    if (this.outgoing.ended) this.#detach();
  }

  /**
   * RST_STREAM has come; the session has dropped the stream. NO_ERROR after END_STREAM is how a server that has sent everything tells us to
   * stop sending: a clean end for what we read. NO_ERROR or CANCEL before END_STREAM is what the Rust side sends when its stream was dropped
   * in the middle: a cut, although that side itself reads it as an end. A transfer that was cut must never look complete.
   * @source ztunnel src/proxy/h2.rs; h2 src/proto/streams/streams.rs maybe_cancel
   */
  receiveReset(h2Code: number): void {
    this.#detached = true;
    if (h2Code === H2.NO_ERROR && this.incoming.ended && this.outgoing.pendingBytes === 0) {
      this.outgoing.abandon();
      this.#finishIfDone();
      return;
    }
    const code = h2Code === H2.REFUSED_STREAM ? "ENGINE_HTTP2_REFUSED" : "ENGINE_TUNNEL_RESET";
    this.fail(new MeshError(code, `Peer reset the stream: ${h2CodeName(h2Code)}`, { details: { http2Code: h2Code } }));
  }

  /** The stream is gone; the session has dropped it. */
  fail(error: MeshError): void {
    this.#detached = true;
    if (this.#cut) return;
    this.#cutBy = error;
    this.#report(error);
    this.#abandon();
  }

  #failWrite(): void {
    this.fail(
      new MeshError("ENGINE_TUNNEL_RESET", "Peer has stopped reading the stream", { details: { http2Code: H2.NO_ERROR } }),
    );
  }

  #detach(): void {
    if (this.#detached) return;
    this.#detached = true;
    this.#owner.streamEnded(this);
  }

  #finishIfDone(): void {
    if (this.#cut || !this.incoming.handedEnd) return;
    // After RST NO_ERROR our end cannot be sent any more; that it was asked for is enough.
    if (this.outgoing.ended || (this.outgoing.dead && this.outgoing.endWanted)) this.#report(undefined);
  }

  #abandon(): void {
    this.#cut = true;
    this.#onClosed = undefined;
    this.outgoing.abandon();
    this.incoming.abandon();
  }

  /** Deferred: the end may have been met inside a call of whom it is reported to. */
  #report(error: MeshError | undefined): void {
    const onClosed = this.#onClosed;
    this.#onClosed = undefined;
    if (onClosed !== undefined) this.#owner.defer(() => onClosed(error));
    else if (error !== undefined && this.#peer === undefined) {
      const { listener } = this;
      const handler = this.#handler;
      if (handler !== undefined) this.#owner.defer(() => handler.onError(error));
      else if (listener !== undefined) this.#owner.defer(() => listener.onCut(error));
    }
  }
}
