// Streams that we have reset: what the peer sent on them before it knew is no mistake, on any other closed stream it is.

/** Enough for all that can be on the way; of older ones it is no longer known. */
const REMEMBERED = 1_000;

export class ResetStreams {
  readonly #ids = new Set<number>();
  #forgottenUpTo = 0;

  add(streamId: number): void {
    this.#ids.add(streamId);
    if (this.#ids.size <= REMEMBERED) return;
    for (const oldest of this.#ids) {
      this.#ids.delete(oldest);
      this.#forgottenUpTo = Math.max(this.#forgottenUpTo, oldest);
      return;
    }
  }

  /** Frames may still come on this closed stream. RFC 9113 section 5.1, "closed". */
  mayHear(streamId: number): boolean {
    return streamId <= this.#forgottenUpTo || this.#ids.has(streamId);
  }
}
