// Looks for a marker in a stream that arrives in pieces.

export class MarkerSearch {
  readonly #marker: Buffer;
  #tail: Buffer = Buffer.alloc(0);
  #found = false;

  /** An empty marker is never found. */
  constructor(marker: Uint8Array) {
    this.#marker = Buffer.from(marker);
  }

  get found(): boolean {
    return this.#found;
  }

  push(bytes: Uint8Array): void {
    if (this.#found || this.#marker.length === 0 || bytes.length === 0) return;
    const keep = this.#marker.length - 1;
    // Across the seam only as much as could hold a marker that begins before it.
    const seam = Buffer.concat([this.#tail, bytes.subarray(0, keep)]);
    this.#found = seam.includes(this.#marker) || contains(bytes, this.#marker);
    const joined = bytes.length >= keep ? bytes : Buffer.concat([this.#tail, bytes]);
    this.#tail = Buffer.from(joined.subarray(Math.max(0, joined.length - keep)));
  }
}

export function contains(bytes: Uint8Array, marker: Uint8Array): boolean {
  if (marker.length === 0) return false;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(marker);
}
