// What one side of a connection sent: its beginning kept, all of it counted, searched and checked to be TLS records.
import type { TcpSegment } from "./frames.ts";
import { contains, MarkerSearch } from "./marker-search.ts";
import { TcpDirection } from "./tcp-direction.ts";
import { RecordWatch } from "./tls-records.ts";

/** Far more than any handshake has. */
const KEPT_BYTES = 256 * 1024;

export class WireSide {
  readonly #tcp: TcpDirection;
  readonly #records = new RecordWatch();
  readonly #search: MarkerSearch;
  readonly #marker: Uint8Array;
  readonly #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #bytes = 0;
  #isMarkerInSegment = false;
  /** Sent the SYN that no ACK accompanies: this side opened the connection. */
  #isOpener = false;

  constructor(marker: Uint8Array) {
    this.#marker = marker;
    this.#search = new MarkerSearch(marker);
    this.#tcp = new TcpDirection((bytes) => this.#take(bytes));
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isOpener(): boolean {
    return this.#isOpener;
  }

  get hasBeginning(): boolean {
    return this.#tcp.hasBeginning;
  }

  get isWhole(): boolean {
    return this.#tcp.isWhole;
  }

  /** Only TLS records, from the first byte seen to the last. */
  get isRecords(): boolean {
    return this.#records.isRecords;
  }

  get containsMarker(): boolean {
    return this.#isMarkerInSegment || this.#search.found;
  }

  get beginning(): Uint8Array {
    return Buffer.concat(this.#kept);
  }

  /** False when this SYN belongs to a later connection between the same addresses. */
  accepts({ isSyn, sequence }: TcpSegment): boolean {
    const known = this.#tcp.initialSequence;
    return !isSyn || known === undefined || known === (sequence + 1) >>> 0;
  }

  add({ isSyn, isAck, sequence, payload, isCut }: TcpSegment): void {
    if (isSyn) {
      this.#tcp.syn(sequence);
      if (!isAck) this.#isOpener = true;
    }
    // Also each by itself: a segment that is dropped as a repetition may carry other bytes than the one that was kept.
    this.#isMarkerInSegment ||= contains(payload, this.#marker);
    this.#tcp.segment(isSyn ? (sequence + 1) >>> 0 : sequence, payload);
    if (isCut) this.#tcp.markGap();
  }

  finish(): void {
    this.#tcp.finish();
  }

  #take(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    this.#records.push(bytes);
    this.#search.push(bytes);
    const part = bytes.subarray(0, KEPT_BYTES - this.#keptBytes);
    if (part.length === 0) return;
    this.#keptBytes += part.length;
    this.#kept.push(part);
  }
}
