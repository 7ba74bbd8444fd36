// Certificate messages that a side has compressed because the other one can read them so. RFC 8879
import { brotliDecompressSync, inflateSync, zstdDecompressSync } from "node:zlib";
import { ByteReader } from "./byte-reader.ts";

type Decompress = (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Uint8Array;

const ALGORITHMS: ReadonlyMap<number, Decompress> = new Map<number, Decompress>([
  [1, inflateSync],
  [2, brotliDecompressSync],
  [3, zstdDecompressSync],
]);
/** Nobody's certificate chain is longer. */
const MAX_BYTES = 256 * 1024;

/** The body of the Certificate message within; undefined when it does not unpack to the length that it claims. */
export function decompressCertificate(body: Uint8Array): Uint8Array | undefined {
  const reader = new ByteReader(body);
  const decompress = ALGORITHMS.get(reader.uint(2));
  const length = reader.uint(3);
  const packed = reader.vector(3);
  if (!reader.ok || decompress === undefined || length === 0 || length > MAX_BYTES) return undefined;
  try {
    const unpacked = decompress(packed, { maxOutputLength: length });
    return unpacked.length === length ? unpacked : undefined;
  } catch {
    // Damaged, or longer than it claims: no certificate.
    return undefined;
  }
}
