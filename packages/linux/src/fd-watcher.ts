// Readiness of raw descriptors on a thread that runs Node's event loop: no polling, one thread of the pool waits for all of them.
import { EPOLLIN, EPOLLONESHOT, EPOLLOUT, Epoll } from "./epoll.ts";
import { clearEventFd, openEventFd, wakeEventFd } from "./eventfd.ts";
import { bindBlocking } from "./foreign.ts";

const EVENTS_PER_WAIT = 64;
const waitForEvents = bindBlocking("int epoll_wait(int, uint64_t, int, int)");

interface Watch {
  readable: (() => void) | undefined;
  writable: (() => void) | undefined;
}

/** While anything waits, one pool thread sits in epoll_wait and the process stays alive, as with a listening net.Server. */
class FdWatcher {
  readonly #epoll = new Epoll(EVENTS_PER_WAIT);
  readonly #wakeFd = openEventFd();
  readonly #watches = new Map<number, Watch>();
  #waiting = false;

  constructor() {
    this.#epoll.add(this.#wakeFd, EPOLLIN, this.#wakeFd);
    // The process joins its pool threads when it exits; one that sits in epoll_wait would hold it up for ever.
    process.on("exit", () => wakeEventFd(this.#wakeFd));
  }

  /** Resolves when the descriptor is ready in that direction, has failed, or was forgotten. */
  ready(fd: number, direction: keyof Watch): Promise<void> {
    return new Promise((resolve) => {
      const known = this.#watches.get(fd);
      const watch: Watch = known ?? { readable: undefined, writable: undefined };
      watch[direction] = resolve;
      if (known === undefined) {
        this.#watches.set(fd, watch);
        this.#epoll.add(fd, maskOf(watch), fd);
      } else this.#epoll.modify(fd, maskOf(watch), fd);
      this.#wait();
    });
  }

  /** To be called before the descriptor is closed; whoever waits for it goes on and finds it closed. */
  forget(fd: number): void {
    const watch = this.#watches.get(fd);
    if (watch === undefined) return;
    this.#watches.delete(fd);
    this.#epoll.remove(fd);
    watch.readable?.();
    watch.writable?.();
    if (!this.#hasWaiters()) wakeEventFd(this.#wakeFd);
  }

  #hasWaiters(): boolean {
    for (const watch of this.#watches.values()) if (maskOf(watch) !== EPOLLONESHOT) return true;
    return false;
  }

  #wait(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    waitForEvents(this.#epoll.fd, this.#epoll.eventsAddress, this.#epoll.capacity, -1).then(
      (count) => this.#dispatch(count),
      (error: unknown) => {
        throw error;
      },
    );
  }

  #dispatch(count: number): void {
    this.#waiting = false;
    const due: (() => void)[] = [];
    for (let i = 0; i < count; i++) {
      const fd = this.#epoll.key(i);
      const mask = this.#epoll.mask(i);
      const watch = this.#watches.get(fd);
      if (fd === this.#wakeFd) clearEventFd(fd);
      if (watch === undefined) continue;
      // Errors and hang-ups concern both directions: the next call on the descriptor tells which it was.
      const failed = (mask & ~(EPOLLIN | EPOLLOUT)) !== 0;
      if (watch.readable !== undefined && (failed || (mask & EPOLLIN) !== 0)) {
        due.push(watch.readable);
        watch.readable = undefined;
      }
      if (watch.writable !== undefined && (failed || (mask & EPOLLOUT) !== 0)) {
        due.push(watch.writable);
        watch.writable = undefined;
      }
      if (maskOf(watch) !== EPOLLONESHOT) this.#epoll.modify(fd, maskOf(watch), fd);
    }
    for (const resolve of due) resolve();
    if (this.#hasWaiters()) this.#wait();
  }
}

function maskOf(watch: Watch): number {
  return EPOLLONESHOT | (watch.readable === undefined ? 0 : EPOLLIN) | (watch.writable === undefined ? 0 : EPOLLOUT);
}

let watcher: FdWatcher | undefined;

/** The thread's watcher; made when it is first needed. */
export function fdWatcher(): FdWatcher {
  watcher ??= new FdWatcher();
  return watcher;
}
