// The shelf's wire format: each message is a 32-bit big-endian length and that many bytes of JSON.
const LENGTH_BYTES = 4;
export const MAX_MESSAGE_BYTES = 1 << 20;

export function encodeMessage(value: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(value), "utf8");
  const frame = Buffer.alloc(LENGTH_BYTES + body.length);
  frame.writeUInt32BE(body.length);
  body.copy(frame, LENGTH_BYTES);
  return frame;
}

/** Collects bytes and gives the messages that are complete. */
export class MessageReader {
  #pending: Buffer = Buffer.alloc(0);

  /** @throws RangeError for a message that is longer than the limit */
  push(chunk: Buffer): unknown[] {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const messages: unknown[] = [];
    while (this.#pending.length >= LENGTH_BYTES) {
      const length = this.#pending.readUInt32BE();
      if (length > MAX_MESSAGE_BYTES) throw new RangeError(`message of ${length} bytes`);
      if (this.#pending.length < LENGTH_BYTES + length) break;
      messages.push(JSON.parse(this.#pending.toString("utf8", LENGTH_BYTES, LENGTH_BYTES + length)));
      this.#pending = this.#pending.subarray(LENGTH_BYTES + length);
    }
    return messages;
  }
}
