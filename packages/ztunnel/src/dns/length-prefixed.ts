// DNS over TCP: each message after two bytes with its length. RFC 1035 section 4.2.2.

export function withLength(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2 + message.length);
  bytes[0] = message.length >> 8;
  bytes[1] = message.length & 0xff;
  bytes.set(message, 2);
  return bytes;
}

/** Collects a stream's bytes into messages; holds at most one incomplete one. */
export class LengthPrefixed {
  readonly #onMessage: (message: Uint8Array) => void;
  #held = new Uint8Array(0);

  constructor(onMessage: (message: Uint8Array) => void) {
    this.#onMessage = onMessage;
  }

  push(chunk: Uint8Array): void {
    let bytes = new Uint8Array(this.#held.length + chunk.length);
    bytes.set(this.#held);
    bytes.set(chunk, this.#held.length);
    for (;;) {
      const length = bytes.length < 2 ? Number.POSITIVE_INFINITY : ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
      if (bytes.length < 2 + length) break;
      const message = bytes.slice(2, 2 + length);
      bytes = bytes.slice(2 + length);
      this.#onMessage(message);
    }
    this.#held = bytes;
  }
}
