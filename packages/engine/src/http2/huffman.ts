// The Huffman code of HPACK strings (RFC 7541 appendix B).
import { H2, Http2Fault } from "./faults.ts";

// Code lengths by symbol, 256 bytes and then EOS. The code is canonical (within a length, codes ascend with the symbol), so that the
// lengths are the whole table.
const LENGTHS: readonly number[] = [
  ...[
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28,
    28,
  ],
  ...[6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
  ...[13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
  ...[15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
  ...[
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23,
    24,
  ],
  ...[
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22,
    23,
  ],
  ...[
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
    27,
  ],
  ...[
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27,
    26,
  ],
  30,
];
const EOS = 256;

// One entry per (state, next four bits). States are the inner nodes of the code tree, 0 the root; no four bits end two symbols.
const SYMBOL_MASK = 0xff;
const EMITS = 0x100;
const FAILS = 0x200;
const STATE_SHIFT = 10;

const { table: TABLE, mayEnd: MAY_END } = buildDecoder();

/**
 * Decodes `bytes[start, end)` into `out`, which must have room for 8/5 of the input.
 * @returns the number of bytes written
 * @throws Http2Fault COMPRESSION_ERROR for EOS inside the string, or padding that is not a prefix of EOS shorter than a byte
 */
export function huffmanDecode(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
  let state = 0;
  let length = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] ?? 0;
    let entry = TABLE[(state << 4) | (byte >> 4)] ?? FAILS;
    if (entry & EMITS) out[length++] = entry & SYMBOL_MASK;
    if (entry & FAILS) throw new Http2Fault(H2.COMPRESSION_ERROR, "Huffman string contains EOS");
    entry = TABLE[((entry >> STATE_SHIFT) << 4) | (byte & 15)] ?? FAILS;
    if (entry & EMITS) out[length++] = entry & SYMBOL_MASK;
    if (entry & FAILS) throw new Http2Fault(H2.COMPRESSION_ERROR, "Huffman string contains EOS");
    state = entry >> STATE_SHIFT;
  }
  if (MAY_END[state] !== 1) throw new Http2Fault(H2.COMPRESSION_ERROR, "Huffman string has bad padding");
  return length;
}

function buildDecoder(): { table: Int32Array; mayEnd: Uint8Array } {
  // children[2 * node + bit]: a node number, or -(symbol + 1)
  const children: number[] = [0, 0];
  let code = 0;
  for (let length = 5; length <= 30; length++) {
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (LENGTHS[symbol] !== length) continue;
      insert(children, code, length, symbol);
      code++;
    }
    code *= 2;
  }
  const nodes = children.length / 2;
  const table = new Int32Array(nodes * 16);
  for (let node = 0; node < nodes; node++) {
    for (let bits = 0; bits < 16; bits++) table[node * 16 + bits] = walk(children, node, bits);
  }
  // Padding is the most significant bits of EOS, all ones, fewer than eight (RFC 7541 section 5.2).
  const mayEnd = new Uint8Array(nodes);
  let node = 0;
  for (let ones = 0; ones < 8; ones++) {
    mayEnd[node] = 1;
    node = children[2 * node + 1] ?? 0;
  }
  return { table, mayEnd };
}

function insert(children: number[], code: number, length: number, symbol: number): void {
  let node = 0;
  for (let depth = length - 1; depth > 0; depth--) {
    const slot = 2 * node + ((code >> depth) & 1);
    let next = children[slot] ?? 0;
    if (next === 0) {
      next = children.length / 2;
      children.push(0, 0);
      children[slot] = next;
    }
    node = next;
  }
  children[2 * node + (code & 1)] = -(symbol + 1);
}

function walk(children: readonly number[], from: number, bits: number): number {
  let node = from;
  let result = 0;
  for (let shift = 3; shift >= 0; shift--) {
    const next = children[2 * node + ((bits >> shift) & 1)] ?? 0;
    if (next >= 0) {
      node = next;
      continue;
    }
    const symbol = -next - 1;
    if (symbol === EOS) return FAILS;
    result = EMITS | symbol;
    node = 0;
  }
  return result | (node << STATE_SHIFT);
}
