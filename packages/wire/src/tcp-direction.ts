// One direction of a TCP connection put back into order: lost pieces are waited for, repeated ones dropped, memory is bounded.

/** What may wait for an earlier piece. More than a receive window of it means that the capture has lost that piece. */
export const MAX_WAITING_BYTES = 8 * 1024 * 1024;

interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export class TcpDirection {
  readonly #deliver: (bytes: Uint8Array) => void;
  readonly #maxWaitingBytes: number;
  /** Sequence number of stream offset 0; unknown until a SYN, or until waiting for one is over. */
  #base: number | undefined;
  #sawSyn = false;
  #hasGap = false;
  #next = 0;
  /** Ascending by offset. Before the base is known, offsets count from the first segment's sequence number and may be negative. */
  #waiting: Piece[] = [];
  #waitingBytes = 0;
  #reference: number | undefined;

  constructor(deliver: (bytes: Uint8Array) => void, maxWaitingBytes = MAX_WAITING_BYTES) {
    this.#deliver = deliver;
    this.#maxWaitingBytes = maxWaitingBytes;
  }

  /** True when every byte from the first one on has been delivered. */
  get isWhole(): boolean {
    return this.#sawSyn && !this.#hasGap;
  }

  get hasBeginning(): boolean {
    return this.#sawSyn;
  }

  get initialSequence(): number | undefined {
    return this.#sawSyn ? this.#base : undefined;
  }

  /** The number that the SYN carries; data begins with the next one. */
  syn(sequence: number): void {
    if (this.#base !== undefined) return;
    this.#sawSyn = true;
    const base = (sequence + 1) >>> 0;
    const shift = this.#reference === undefined ? 0 : distance(base, this.#reference);
    this.#begin(base, shift);
  }

  segment(sequence: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#base === undefined) {
      this.#reference ??= sequence;
      this.#keep(distance(this.#reference, sequence), bytes);
      if (this.#waitingBytes > this.#maxWaitingBytes) this.#beginWithEarliest();
      return;
    }
    const offset = this.#next + distance((this.#base + this.#next) >>> 0, sequence);
    if (offset > this.#next) this.#keep(offset, bytes);
    else this.#accept(offset, bytes);
    this.#drain();
    while (this.#waitingBytes > this.#maxWaitingBytes) this.#skipGap();
  }

  /** No more will come: what still waits is delivered as if the missing pieces were not there. */
  finish(): void {
    if (this.#base === undefined) this.#beginWithEarliest();
    while (this.#waiting.length > 0) this.#skipGap();
  }

  /** A piece is known to be missing or cut. */
  markGap(): void {
    this.#hasGap = true;
  }

  #begin(base: number, shift: number): void {
    this.#base = base;
    const early = this.#waiting;
    this.#waiting = early.map(({ offset, bytes }) => ({ offset: offset + shift, bytes }));
    this.#drain();
  }

  #beginWithEarliest(): void {
    const first = this.#waiting[0];
    if (first === undefined || this.#reference === undefined) return;
    this.#begin((this.#reference + first.offset) >>> 0, -first.offset);
  }

  #keep(offset: number, bytes: Uint8Array): void {
    let at = this.#waiting.length;
    while (at > 0 && (this.#waiting[at - 1]?.offset ?? 0) > offset) at--;
    const before = this.#waiting[at - 1];
    if (before?.offset === offset && before.bytes.length >= bytes.length) return;
    this.#waiting.splice(at, 0, { offset, bytes });
    this.#waitingBytes += bytes.length;
  }

  #accept(offset: number, bytes: Uint8Array): void {
    const known = this.#next - offset;
    if (known >= bytes.length) return;
    this.#next = offset + bytes.length;
    this.#deliver(bytes.subarray(known));
  }

  #drain(): void {
    let count = 0;
    for (const piece of this.#waiting) {
      if (piece.offset > this.#next) break;
      this.#accept(piece.offset, piece.bytes);
      this.#waitingBytes -= piece.bytes.length;
      count++;
    }
    if (count > 0) this.#waiting.splice(0, count);
  }

  #skipGap(): void {
    const first = this.#waiting[0];
    if (first === undefined) return;
    this.#hasGap = true;
    this.#next = first.offset;
    this.#drain();
  }
}

/** How far `to` lies after `from`, negative when before: sequence numbers wrap around. RFC 9293 section 3.4 */
function distance(from: number, to: number): number {
  return (to - from) | 0;
}
