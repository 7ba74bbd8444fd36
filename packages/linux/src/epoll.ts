// Readiness of many descriptors: epoll(7).
import { lastErrno } from "./foreign.ts";
import { checked, EINTR, libc, systemError } from "./libc.ts";
import { allocPinned, type Pinned } from "./pinned.ts";

export const EPOLLIN = 1;
export const EPOLLOUT = 4;
export const EPOLLERR = 8;
export const EPOLLHUP = 16;
export const EPOLLRDHUP = 0x2000;
export const EPOLLONESHOT = 0x4000_0000;

const EPOLL_CLOEXEC = 0o2000000;
const CTL_ADD = 1;
const CTL_DEL = 2;
const CTL_MOD = 3;

// The kernel's struct is packed on x86-64 alone.
const EVENT_BYTES = process.arch === "x64" ? 12 : 16;
const DATA_OFFSET = process.arch === "x64" ? 4 : 8;

/** One epoll instance; every watched descriptor carries one 32-bit number that its events come back with. */
export class Epoll {
  readonly fd: number;
  readonly #events: Pinned;
  readonly #capacity: number;
  readonly #argument = allocPinned(16);

  constructor(capacity: number) {
    this.fd = checked(libc.epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    this.#events = allocPinned(EVENT_BYTES * capacity);
    this.#capacity = capacity;
  }

  /** For a caller that waits by other means; `count` events are then read with `mask` and `key`. */
  get eventsAddress(): number {
    return this.#events.address;
  }

  get capacity(): number {
    return this.#capacity;
  }

  add(fd: number, mask: number, key: number): void {
    this.#control(CTL_ADD, fd, mask, key);
  }

  modify(fd: number, mask: number, key: number): void {
    this.#control(CTL_MOD, fd, mask, key);
  }

  remove(fd: number): void {
    this.#control(CTL_DEL, fd, 0, 0);
  }

  /** Number of events; -1 waits for ever, 0 not at all. */
  wait(timeoutMs: number): number {
    const count = libc.epoll_wait(this.fd, this.#events.address, this.#capacity, timeoutMs);
    if (count >= 0) return count;
    const errno = lastErrno();
    if (errno === EINTR) return 0;
    throw systemError("epoll_wait", errno);
  }

  mask(index: number): number {
    return this.#events.view.getUint32(index * EVENT_BYTES, true);
  }

  key(index: number): number {
    return this.#events.view.getUint32(index * EVENT_BYTES + DATA_OFFSET, true);
  }

  close(): void {
    libc.close(this.fd);
  }

  #control(operation: number, fd: number, mask: number, key: number): void {
    this.#argument.view.setUint32(0, mask, true);
    this.#argument.view.setUint32(DATA_OFFSET, key, true);
    checked(libc.epoll_ctl(this.fd, operation, fd, this.#argument.address), `epoll_ctl(${operation}) of descriptor ${fd}`);
  }
}
