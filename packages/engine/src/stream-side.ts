// The relay side of a stream that has only the boundary contract's methods, such as one that a layer above wraps around another.
import type { MeshError } from "@ambit/core";
import type { ByteStream } from "./contract.ts";
import type { RelaySide } from "./relay-side.ts";
import { allocScratch, HEADROOM_BYTES, MAX_CHUNK_BYTES, type Slab } from "./slab.ts";

let scratch: Slab | undefined;

export class StreamSide implements RelaySide {
  relayedBytes = 0;
  readonly #stream: ByteStream;
  #peer: RelaySide | undefined;
  #onClosed: ((error: MeshError | undefined) => void) | undefined;
  #congested = 0;
  #readEnded = false;
  #writeEnded = false;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  join(peer: RelaySide, onClosed: (error: MeshError | undefined) => void): void {
    this.#peer = peer;
    this.#onClosed = onClosed;
    this.#stream.handle({
      onData: (chunk) => this.#forward(chunk, peer),
      onEnd: () => {
        this.#readEnded = true;
        peer.pushEnd();
        this.#closeIfDone();
      },
      onError: (error) => this.#close(error),
      onDrain: () => {
        const left = this.#congested;
        this.#congested = 0;
        peer.onCredit(left);
        peer.onCapacity();
      },
    });
  }

  capacity(): number {
    return this.#congested > 0 ? 0 : MAX_CHUNK_BYTES;
  }

  push(slab: Slab, offset: number, length: number): void {
    if (this.#stream.write(slab.bytes.subarray(offset, offset + length))) this.#peer?.onCredit(length);
    else this.#congested += length;
  }

  pushEnd(): void {
    this.#stream.end();
    this.#writeEnded = true;
    this.#closeIfDone();
  }

  onCapacity(): void {
    this.#stream.resume();
  }

  onCredit(): void {
    // The wrapped stream accounts for itself.
  }

  reset(): void {
    this.#onClosed = undefined;
    this.#stream.reset();
  }

  #forward(chunk: Uint8Array, peer: RelaySide): void {
    scratch ??= allocScratch();
    for (let at = 0; at < chunk.length; at += MAX_CHUNK_BYTES) {
      const piece = chunk.subarray(at, at + MAX_CHUNK_BYTES);
      scratch.bytes.set(piece, HEADROOM_BYTES);
      this.relayedBytes += piece.length;
      peer.push(scratch, HEADROOM_BYTES, piece.length);
    }
    if (peer.capacity() <= 0) this.#stream.pause();
  }

  #closeIfDone(): void {
    if (this.#readEnded && this.#writeEnded) this.#close(undefined);
  }

  #close(error: MeshError | undefined): void {
    const onClosed = this.#onClosed;
    this.#onClosed = undefined;
    onClosed?.(error);
  }
}
