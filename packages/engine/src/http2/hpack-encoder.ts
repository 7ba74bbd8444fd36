// HPACK encoding (RFC 7541): header lists to header blocks.
import { MeshError } from "@ambit/core";
import { HEADER_TABLE_BYTES } from "./hpack-decoder.ts";
import { DynamicTable, entryBytes, type HeaderList, STATIC_TABLE } from "./hpack-table.ts";

/** Values that differ in every request: putting them into the table would only push out those that repeat. */
const NOT_INDEXED = new Set([
  ":path",
  "content-length",
  "date",
  "etag",
  "forwarded",
  "last-modified",
  "location",
  "traceparent",
  "tracestate",
  "x-b3-spanid",
  "x-b3-traceid",
  "x-request-id",
]);
/** Secrets: never put into a table by anybody on the way. RFC 7541 section 7.1.3. */
const NEVER_INDEXED = new Set(["authorization", "cookie", "proxy-authorization", "set-cookie"]);

const STATIC_NAMES = new Map<string, number>();
const STATIC_FIELDS = new Map<string, number>();
for (const [i, [name, value]] of STATIC_TABLE.entries()) {
  if (!STATIC_NAMES.has(name)) STATIC_NAMES.set(name, i + 1);
  STATIC_FIELDS.set(`${name}\n${value}`, i + 1);
}

/**
 * One per connection and direction. Strings are written without Huffman: what repeats on a session is in the table after its first time.
 */
export class HpackEncoder {
  #block = Buffer.alloc(1024);
  readonly #table = new DynamicTable(HEADER_TABLE_BYTES);
  /** Field text to its entry number in `#table`; entries that were evicted are dropped when they are met. */
  readonly #entries = new Map<string, number>();
  #length = 0;
  #announcedBytes = HEADER_TABLE_BYTES;
  #smallestBytes = HEADER_TABLE_BYTES;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE: ours becomes no larger than that, nor than the default. */
  setPeerTableSize(bytes: number): void {
    this.#table.resize(Math.min(bytes, HEADER_TABLE_BYTES));
    this.#smallestBytes = Math.min(this.#smallestBytes, this.#table.maxBytes);
  }

  /**
   * @returns the block, valid until the next call
   * @throws ENGINE_HTTP2_HEADERS_INVALID for characters that no header may have; nothing was encoded then
   */
  encode(headers: HeaderList): Uint8Array {
    for (const [name, value] of headers) checkField(name, value);
    this.#length = 0;
    this.#announceTableSize();
    for (let i = 0; i < headers.length; i++) {
      const header = headers[i];
      if (header !== undefined) this.#field(header[0], header[1]);
    }
    return this.#block.subarray(0, this.#length);
  }

  /** The smallest size since the last block comes first: the peer must have evicted what we did. RFC 7541 section 4.2. */
  #announceTableSize(): void {
    const now = this.#table.maxBytes;
    if (this.#smallestBytes < Math.min(this.#announcedBytes, now)) this.#integer(0x20, 5, this.#smallestBytes);
    if (this.#announcedBytes !== now || this.#smallestBytes < now) this.#integer(0x20, 5, now);
    this.#announcedBytes = now;
    this.#smallestBytes = now;
  }

  #field(name: string, value: string): void {
    const nameIndex = STATIC_NAMES.get(name) ?? 0;
    const text = `${name}\n${value}`;
    const index = STATIC_FIELDS.get(text) ?? this.#tableIndex(text);
    if (NEVER_INDEXED.has(name)) this.#literal(0x10, 4, nameIndex, name, value);
    else if (index !== undefined) this.#integer(0x80, 7, index);
    // More than half of the table for one field would push out all that repeats.
    else if (NOT_INDEXED.has(name) || entryBytes([name, value]) > this.#table.maxBytes / 2)
      this.#literal(0, 4, nameIndex, name, value);
    else this.#addAndWrite(text, nameIndex, name, value);
  }

  #addAndWrite(text: string, nameIndex: number, name: string, value: string): void {
    this.#literal(0x40, 6, nameIndex, name, value);
    this.#table.add([name, value]);
    this.#entries.set(text, this.#table.inserted - 1);
    if (this.#entries.size > 2 * this.#table.count + 64) this.#forgetEvicted();
  }

  #tableIndex(text: string): number | undefined {
    const entry = this.#entries.get(text);
    if (entry === undefined) return undefined;
    const position = this.#table.inserted - 1 - entry;
    if (position < this.#table.count) return STATIC_TABLE.length + 1 + position;
    this.#entries.delete(text);
    return undefined;
  }

  #forgetEvicted(): void {
    const oldest = this.#table.inserted - this.#table.count;
    for (const [text, entry] of this.#entries) if (entry < oldest) this.#entries.delete(text);
  }

  #literal(pattern: number, prefixBits: number, nameIndex: number, name: string, value: string): void {
    this.#integer(pattern, prefixBits, nameIndex);
    if (nameIndex === 0) this.#string(name);
    this.#string(value);
  }

  #integer(pattern: number, prefixBits: number, value: number): void {
    this.#reserve(8);
    const mask = (1 << prefixBits) - 1;
    if (value < mask) {
      this.#block[this.#length++] = pattern | value;
      return;
    }
    this.#block[this.#length++] = pattern | mask;
    let rest = value - mask;
    while (rest > 0x7f) {
      this.#block[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#block[this.#length++] = rest;
  }

  #string(text: string): void {
    this.#integer(0, 7, text.length);
    this.#reserve(text.length);
    this.#length += this.#block.write(text, this.#length, text.length, "latin1");
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#block.length) return;
    const larger = Buffer.alloc(Math.max(this.#block.length * 2, this.#length + more));
    larger.set(this.#block.subarray(0, this.#length));
    this.#block = larger;
  }
}

function checkField(name: string, value: string): void {
  if (!/^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) || /[^\t\x20-\x7e\x80-\xff]|^[ \t]|[ \t]$/.test(value)) {
    throw new MeshError(
      "ENGINE_HTTP2_HEADERS_INVALID",
      `Header ${JSON.stringify(name)} cannot be sent: ${JSON.stringify(value)}`,
    );
  }
}
