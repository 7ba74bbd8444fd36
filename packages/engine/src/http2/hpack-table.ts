// The tables that HPACK indexes: the fixed one of RFC 7541 appendix A, and the one that encoder and decoder grow alike.

/** A header field. Fields of one block are kept in order. */
export type Header = readonly [name: string, value: string];
/** Lower-case names. Order is kept on the wire. */
export type HeaderList = readonly Header[];

/** What every entry costs beside its name and value. RFC 7541 section 4.1. */
export const ENTRY_OVERHEAD_BYTES = 32;

const ACCEPT_ENCODING = "gzip, deflate";
const NAMES_WITHOUT_VALUE =
  "accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control " +
  "content-disposition content-encoding content-language content-length content-location content-range content-type cookie date etag expect " +
  "expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link location max-forwards " +
  "proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie strict-transport-security transfer-encoding " +
  "user-agent vary via www-authenticate";

/** Entry `i` has index `i + 1`. */
export const STATIC_TABLE: HeaderList = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ...NAMES_WITHOUT_VALUE.split(" ").map((name): Header => [name, name === "accept-encoding" ? ACCEPT_ENCODING : ""]),
];

/** Newest entry first, bounded by size; the oldest leave. RFC 7541 section 2.3.2. */
export class DynamicTable {
  // A ring: the newest entry is at `head`, older ones follow upwards.
  #ring: (Header | undefined)[] = new Array(32).fill(undefined);
  #head = 0;
  #count = 0;
  #sizeBytes = 0;
  #maxBytes: number;
  /** Entries ever added: entry number `n` has position `inserted - 1 - n` while it is there. */
  inserted = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get maxBytes(): number {
    return this.#maxBytes;
  }

  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** `position` 0 is the newest. */
  at(position: number): Header | undefined {
    if (position >= this.#count) return undefined;
    return this.#ring[(this.#head + position) & (this.#ring.length - 1)];
  }

  /** An entry larger than the table empties it. RFC 7541 section 4.4. */
  add(header: Header): void {
    const size = entryBytes(header);
    this.#evictTo(this.#maxBytes - size);
    this.inserted++;
    if (size > this.#maxBytes) return;
    if (this.#count === this.#ring.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = header;
    this.#count++;
    this.#sizeBytes += size;
  }

  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#evictTo(maxBytes);
  }

  #evictTo(budgetBytes: number): void {
    while (this.#count > 0 && this.#sizeBytes > budgetBytes) {
      const slot = (this.#head + this.#count - 1) & (this.#ring.length - 1);
      const oldest = this.#ring[slot];
      if (oldest !== undefined) this.#sizeBytes -= entryBytes(oldest);
      this.#ring[slot] = undefined;
      this.#count--;
    }
  }

  #grow(): void {
    const larger: (Header | undefined)[] = new Array(this.#ring.length * 2).fill(undefined);
    for (let i = 0; i < this.#count; i++) larger[i] = this.at(i);
    this.#ring = larger;
    this.#head = 0;
  }
}

export function entryBytes(header: Header): number {
  return header[0].length + header[1].length + ENTRY_OVERHEAD_BYTES;
}
