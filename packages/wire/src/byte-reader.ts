// Reads big-endian fields off captured bytes; whoever captured them may have lost the end.

/** After a read beyond the end everything reads as zero and empty, and `ok` is false: check it once, at the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #ok = true;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get ok(): boolean {
    return this.#ok;
  }

  get left(): number {
    return this.#ok ? this.#bytes.length - this.#at : 0;
  }

  /** A big-endian number of `width` bytes, at most 6. */
  uint(width: number): number {
    let value = 0;
    for (const byte of this.take(width)) value = value * 256 + byte;
    return value;
  }

  take(length: number): Uint8Array {
    if (!this.#ok || this.#at + length > this.#bytes.length) {
      this.#ok = false;
      return new Uint8Array(0);
    }
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return taken;
  }

  /** A vector: its length in `width` bytes, then that many bytes. */
  vector(width: number): Uint8Array {
    return this.take(this.uint(width));
  }

  rest(): Uint8Array {
    return this.take(this.left);
  }
}
