// Bytes that the kernel did not take at once, in order, until it does.
import { WOULD_BLOCK, writeSocketBytes } from "./socket-io.ts";

/** Small pieces share a block, so that a backlog of many frames does not become as many system calls. */
const BLOCK_BYTES = 32 * 1024;

interface Block {
  readonly bytes: Uint8Array;
  start: number;
  end: number;
}

export class WriteBacklog {
  // Ordinary memory: a backlog is rare and may be large, and pinned memory would never be given back.
  readonly #blocks: Block[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Copies `source[from, to)`. */
  add(source: Uint8Array, from: number, to: number): void {
    const length = to - from;
    this.#length += length;
    let block = this.#blocks.at(-1);
    if (block === undefined || block.bytes.length - block.end < length) {
      block = { bytes: new Uint8Array(Math.max(BLOCK_BYTES, length)), start: 0, end: 0 };
      this.#blocks.push(block);
    }
    block.bytes.set(source.subarray(from, to), block.end);
    block.end += length;
  }

  /** Writes until the kernel takes no more: 0 when all has left, WOULD_BLOCK, or a failed result of `writeSocketBytes`. */
  writeTo(fd: number): number {
    for (let block = this.#blocks[0]; block !== undefined; block = this.#blocks[0]) {
      const written = writeSocketBytes(fd, block.bytes.subarray(block.start, block.end));
      if (written < 0) return written;
      this.#length -= written;
      block.start += written;
      if (block.start < block.end) return WOULD_BLOCK;
      this.#blocks.shift();
    }
    return 0;
  }

  clear(): void {
    this.#blocks.length = 0;
    this.#length = 0;
  }
}
