// Buffers that the kernel and OpenSSL read and write in place, with headroom for a frame header before the payload.
import { allocPinned } from "@ambit/linux/syscalls";

/**
 * Memory that C sees at `address`; it lives as long as the thread. Only slabs cross to C, always as (slab, offset, length).
 * `address` is for the engine's own binding; a protocol never does arithmetic on it.
 */
export interface Slab {
  readonly bytes: Uint8Array;
  readonly address: number;
}

/**
 * Bytes before every payload handed to `RelaySide.push` that the sink may overwrite: they are headroom or were already consumed.
 * A 9-byte HTTP/2 frame header fits in place, so that header and payload are encrypted by one call without a copy.
 */
export const HEADROOM_BYTES = 64;

/** Largest payload of one push or one `onData`. */
export const MAX_CHUNK_BYTES = 128 * 1024;

/** Memory that is never freed: for scratch areas and pools made once per thread, not per connection. */
export function allocSlab(length: number): Slab {
  return allocPinned(length);
}

/** A scratch area for one chunk: HEADROOM_BYTES, then MAX_CHUNK_BYTES. */
export function allocScratch(): Slab {
  return allocSlab(HEADROOM_BYTES + MAX_CHUNK_BYTES);
}
