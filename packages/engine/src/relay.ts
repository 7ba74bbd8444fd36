// Two streams joined, both directions, without any policy: bytes, half-close, and the cut of one side as a cut of the other.
import type { MeshError } from "@ambit/core";
import type { ByteStream, Relay, RelayEnd } from "./contract.ts";
import { RELAY_SIDE, type RelayableStream, type RelaySide } from "./relay-side.ts";
import { StreamSide } from "./stream-side.ts";

/** See RelayFunction. A stream that was cut ends in a reset of the other one, never in a clean end. */
export function relay(downstream: ByteStream, upstream: ByteStream, done: (end: RelayEnd) => void): Relay {
  return new JoinedStreams(sideOf(downstream), sideOf(upstream), done);
}

class JoinedStreams implements Relay {
  readonly #downstream: RelaySide;
  readonly #upstream: RelaySide;
  #done: ((end: RelayEnd) => void) | undefined;
  #ended = 0;

  constructor(downstream: RelaySide, upstream: RelaySide, done: (end: RelayEnd) => void) {
    this.#downstream = downstream;
    this.#upstream = upstream;
    this.#done = done;
    downstream.join(upstream, (error) => this.#onClosed("downstream", error));
    upstream.join(downstream, (error) => this.#onClosed("upstream", error));
  }

  get bytesToUpstream(): number {
    return this.#downstream.relayedBytes;
  }

  get bytesToDownstream(): number {
    return this.#upstream.relayedBytes;
  }

  abort(error: MeshError): void {
    this.#downstream.reset();
    this.#upstream.reset();
    this.#finish({ kind: "failed", side: "abort", error });
  }

  #onClosed(side: "downstream" | "upstream", error: MeshError | undefined): void {
    if (error !== undefined) {
      (side === "downstream" ? this.#upstream : this.#downstream).reset();
      this.#finish({ kind: "failed", side, error });
      return;
    }
    this.#ended++;
    if (this.#ended === 2) this.#finish({ kind: "finished" });
  }

  #finish(end: RelayEnd): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(end);
  }
}

function sideOf(stream: ByteStream): RelaySide {
  return isRelayable(stream) ? stream[RELAY_SIDE]() : new StreamSide(stream);
}

function isRelayable(stream: ByteStream): stream is RelayableStream {
  return RELAY_SIDE in stream;
}
