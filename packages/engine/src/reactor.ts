// One thread's loop: wait for descriptors, call their handlers, then timers, then what was deferred to the end of the turn.
import { Epoll, libc, setResetOnClose } from "@ambit/linux/syscalls";
import type { EngineTimer } from "./contract.ts";
import { FdTable } from "./fd-table.ts";
import { TimerHeap } from "./timers.ts";

const EVENTS_PER_TURN = 256;
/** Deferred actions that defer again are run in the same turn this often; what is left waits one turn, so that nothing starves. */
const DEFER_ROUNDS = 4;

/** Whoever owns a descriptor. One object per descriptor: an event costs no closure and no lookup by name. */
export interface FdHandler {
  /** `mask` holds EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP. A handler does a bounded amount of work per call. */
  onEvents(mask: number): void;
}

export class Reactor {
  readonly fds: FdTable;
  readonly #epoll: Epoll;
  // Indexed by descriptor: the kernel hands out the lowest free numbers, so the array stays dense.
  readonly #handlers: (FdHandler | undefined)[] = [];
  readonly #timers = new TimerHeap();
  #deferred: (() => void)[] = [];
  #again: FdHandler[] = [];
  readonly #closing: number[] = [];
  #nowMs = Date.now();
  #monotonicMs = performance.now();
  #turns = 0;
  #openSockets = 0;
  #inTurn = false;
  /** Called when something was asked for from outside a turn; lets a driver on another event loop run one. */
  onOutsideWork: (() => void) | undefined;

  constructor(fds = new FdTable()) {
    this.fds = fds;
    this.#epoll = new Epoll(EVENTS_PER_TURN);
    fds.add(this.#epoll.fd);
  }

  get turns(): number {
    return this.#turns;
  }

  get openSockets(): number {
    return this.#openSockets;
  }

  /** For a driver that waits for the loop's own descriptor. */
  get pollFd(): number {
    return this.#epoll.fd;
  }

  nowMs(): number {
    return this.#inTurn ? this.#nowMs : Date.now();
  }

  after(delayMs: number, action: () => void): EngineTimer {
    const timer = this.#timers.add((this.#inTurn ? this.#monotonicMs : performance.now()) + delayMs, action);
    this.#announce();
    return timer;
  }

  defer(action: () => void): void {
    this.#deferred.push(action);
    this.#announce();
  }

  /** Calls the handler once more in the next turn although its descriptor may not be ready: it stopped at its budget. */
  again(handler: FdHandler): void {
    this.#again.push(handler);
    this.#announce();
  }

  /** Takes note of a new descriptor, so that it is closed should this thread die. */
  own(fd: number): void {
    this.fds.add(fd);
    this.#openSockets++;
  }

  watch(fd: number, mask: number, handler: FdHandler): void {
    this.#handlers[fd] = handler;
    this.#epoll.add(fd, mask, fd);
  }

  rewatch(fd: number, mask: number): void {
    this.#epoll.modify(fd, mask, fd);
  }

  unwatch(fd: number): void {
    this.#handlers[fd] = undefined;
    this.#epoll.remove(fd);
  }

  /**
   * No further event for this descriptor; it is closed at the end of the turn, because events of this turn that were already fetched
   * must not meet a new descriptor of the same number.
   */
  close(fd: number, reset: boolean): void {
    // Connections are made so that they end in RST, also if this process dies; only an end that was agreed on is a clean one.
    if (!reset) setResetOnClose(fd, false);
    this.#handlers[fd] = undefined;
    this.#openSockets--;
    if (this.#inTurn) this.#closing.push(fd);
    else this.#closeNow(fd);
  }

  /** Milliseconds until a timer is due or 0 when work is left over; Infinity when only a descriptor can wake the loop. */
  idleMs(): number {
    if (this.#again.length > 0 || this.#deferred.length > 0) return 0;
    return Math.max(0, this.#timers.earliestMs - performance.now());
  }

  /** One turn. Waits at most `maxWaitMs` (Infinity: until something happens). What a handler throws comes out here. */
  turn(maxWaitMs: number): void {
    const waitMs = Math.min(maxWaitMs, this.idleMs());
    // Rounded up: waking a little early would spin until the timer is due.
    const count = this.#epoll.wait(waitMs === Number.POSITIVE_INFINITY ? -1 : Math.min(Math.ceil(waitMs), 0x7fff_ffff));
    this.#turns++;
    this.#nowMs = Date.now();
    this.#monotonicMs = performance.now();
    this.#inTurn = true;
    try {
      const again = this.#again;
      if (again.length > 0) this.#again = [];
      for (let i = 0; i < count; i++) this.#handlers[this.#epoll.key(i)]?.onEvents(this.#epoll.mask(i));
      for (const handler of again) handler.onEvents(0);
      this.#timers.runDue(this.#monotonicMs);
      this.#runDeferred();
    } finally {
      this.#inTurn = false;
      for (const fd of this.#closing) this.#closeNow(fd);
      this.#closing.length = 0;
    }
  }

  /** Closes every descriptor of this thread; the reactor is of no use afterwards. */
  destroy(): void {
    this.fds.closeAll();
    this.#handlers.length = 0;
  }

  #runDeferred(): void {
    for (let round = 0; round < DEFER_ROUNDS && this.#deferred.length > 0; round++) {
      const actions = this.#deferred;
      this.#deferred = [];
      for (const action of actions) action();
    }
  }

  #closeNow(fd: number): void {
    this.fds.remove(fd);
    libc.close(fd);
  }

  #announce(): void {
    if (!this.#inTurn) this.onOutsideWork?.();
  }
}
