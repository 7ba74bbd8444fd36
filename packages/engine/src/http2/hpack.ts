// HPACK, RFC 7541: the door to its parts.
export { HpackDecoder } from "./hpack-decoder.ts";
export { HpackEncoder } from "./hpack-encoder.ts";
export type { Header, HeaderList } from "./hpack-table.ts";
