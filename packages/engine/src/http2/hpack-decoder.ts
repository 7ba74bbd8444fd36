// HPACK decoding (RFC 7541): header blocks to header lists, within bounds.
import { H2, Http2Fault } from "./faults.ts";
import { DynamicTable, entryBytes, type Header, type HeaderList, STATIC_TABLE } from "./hpack-table.ts";
import { huffmanDecode } from "./huffman.ts";

/** What SETTINGS_HEADER_TABLE_SIZE says by default, and we do not change it. */
export const HEADER_TABLE_BYTES = 4096;

/** One per connection and direction. */
export class HpackDecoder {
  /** The last block's list was larger than allowed; what did not fit was decoded, as the table must follow, and dropped. */
  overflowed = false;
  readonly #table = new DynamicTable(HEADER_TABLE_BYTES);
  readonly #maxListBytes: number;
  #bytes: Buffer = Buffer.alloc(0);
  #position = 0;
  #end = 0;
  #expanded = Buffer.alloc(256);

  /** @param maxListBytes names, values and 32 bytes per field, as SETTINGS_MAX_HEADER_LIST_SIZE counts */
  constructor(maxListBytes: number) {
    this.#maxListBytes = maxListBytes;
  }

  /** A whole block, from HEADERS and its CONTINUATIONs. @throws Http2Fault COMPRESSION_ERROR, which ends the connection */
  decode(bytes: Uint8Array, start: number, end: number): HeaderList {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#position = start;
    this.#end = end;
    this.overflowed = false;
    const list: Header[] = [];
    let listBytes = 0;
    let mayResize = true;
    while (this.#position < end) {
      const first = this.#bytes[this.#position] ?? 0;
      if ((first & 0xe0) === 0x20) {
        if (!mayResize) throw new Http2Fault(H2.COMPRESSION_ERROR, "Header table size changes in the middle of a block");
        this.#resizeTable();
        continue;
      }
      mayResize = false;
      const header = this.#field(first);
      listBytes += entryBytes(header);
      if (listBytes > this.#maxListBytes) this.overflowed = true;
      else list.push(header);
    }
    return list;
  }

  #resizeTable(): void {
    const size = this.#integer(5);
    if (size > HEADER_TABLE_BYTES) throw new Http2Fault(H2.COMPRESSION_ERROR, `Header table of ${size} bytes is above the limit`);
    this.#table.resize(size);
  }

  #field(first: number): Header {
    if (first & 0x80) return this.#indexed(this.#integer(7));
    const isIndexing = (first & 0x40) !== 0;
    const index = this.#integer(isIndexing ? 6 : 4);
    const name = index === 0 ? this.#string() : this.#indexed(index)[0];
    const header: Header = [name, this.#string()];
    if (isIndexing) this.#table.add(header);
    return header;
  }

  #indexed(index: number): Header {
    const header = index <= STATIC_TABLE.length ? STATIC_TABLE[index - 1] : this.#table.at(index - STATIC_TABLE.length - 1);
    if (header === undefined) throw new Http2Fault(H2.COMPRESSION_ERROR, `Header index ${index} is in no table`);
    return header;
  }

  /** RFC 7541 section 5.1; bounded to 28 bits, far above any length we accept. */
  #integer(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
    throw new Http2Fault(H2.COMPRESSION_ERROR, "Header integer is too large");
  }

  #byte(): number {
    if (this.#position >= this.#end) throw new Http2Fault(H2.COMPRESSION_ERROR, "Header block ends in the middle of a field");
    return this.#bytes[this.#position++] ?? 0;
  }

  #string(): string {
    const isHuffman = ((this.#bytes[this.#position] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    const start = this.#position;
    if (length > this.#end - start) throw new Http2Fault(H2.COMPRESSION_ERROR, "Header string is longer than its block");
    this.#position = start + length;
    if (!isHuffman) return this.#bytes.toString("latin1", start, start + length);
    // The shortest code has five bits.
    const longest = Math.ceil((length * 8) / 5);
    if (this.#expanded.length < longest) this.#expanded = Buffer.alloc(longest * 2);
    return this.#expanded.toString("latin1", 0, huffmanDecode(this.#bytes, start, start + length, this.#expanded));
  }
}
