// Which descriptors a worker holds, in memory that the main thread can read after the worker has died.
import { libc, setResetOnClose } from "@ambit/linux/syscalls";

/** Above the largest descriptor limit that systemd or a container runtime gives (1 Mi). Untouched pages cost nothing. */
const MAX_DESCRIPTORS = 1 << 20;

export class FdTable {
  readonly memory: SharedArrayBuffer;
  readonly #bits: Int32Array;

  constructor(memory = new SharedArrayBuffer(MAX_DESCRIPTORS / 8)) {
    this.memory = memory;
    this.#bits = new Int32Array(memory);
  }

  add(fd: number): void {
    Atomics.or(this.#bits, fd >> 5, 1 << (fd & 31));
  }

  /** Must come before the descriptor is closed: afterwards its number may belong to another thread. */
  remove(fd: number): void {
    Atomics.and(this.#bits, fd >> 5, ~(1 << (fd & 31)));
  }

  has(fd: number): boolean {
    return (Atomics.load(this.#bits, fd >> 5) & (1 << (fd & 31))) !== 0;
  }

  /** Closes everything in the table, connections with RST: a stream that was cut must not look like one that ended. Gives the count. */
  closeAll(): number {
    let closed = 0;
    for (const [word, bits] of this.#bits.entries()) {
      if (bits === 0) continue;
      for (let bit = 0; bit < 32; bit++) {
        if ((bits & (1 << bit)) === 0) continue;
        const fd = word * 32 + bit;
        this.remove(fd);
        setResetOnClose(fd, true);
        libc.close(fd);
        closed++;
      }
    }
    return closed;
  }
}
