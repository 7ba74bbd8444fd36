// Listening TCP sockets: accepts in batches, so that a burst of connections cannot hold up those that are open.
import type { MeshError, SocketAddress } from "@ambit/core";
import {
  EAGAIN,
  EINTR,
  EPOLLIN,
  errnoName,
  lastErrno,
  libc,
  listenTcp,
  SockaddrSlot,
  setConnectionOptions,
  setResetOnClose,
} from "@ambit/linux/syscalls";
import type { Listener, ListenOptions } from "./contract.ts";
import { engineError } from "./errors.ts";
import type { FdHandler, Reactor } from "./reactor.ts";
import { TcpStream } from "./tcp-stream.ts";

const SOCK_NONBLOCK_CLOEXEC = 0o2004000;
const ACCEPTS_PER_EVENT = 32;
/** Out of descriptors or memory: the queue stays readable, so that trying again at once would spin. */
const EXHAUSTED_PAUSE_MS = 50;
const EXHAUSTED = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

const slot = new SockaddrSlot();

/** @throws ENGINE_LISTEN_FAILED */
export function openListener(reactor: Reactor, options: ListenOptions, onAccept: (connection: TcpStream) => void): Listener {
  let bound: { fd: number; local: SocketAddress };
  try {
    bound = listenTcp(options);
    // Accepted sockets inherit these: none of them has to be asked for again.
    setConnectionOptions(bound.fd);
    setResetOnClose(bound.fd, true);
  } catch (cause) {
    throw listenFailed(options.address, options.port, cause);
  }
  return new TcpListener(reactor, bound.fd, bound.local, onAccept);
}

export function listenFailed(address: string, port: number, cause: unknown): MeshError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const details = { ...(cause instanceof Error && "details" in cause ? (cause.details as object) : {}), address, port };
  return engineError("ENGINE_LISTEN_FAILED", `Cannot listen on ${address} port ${port}: ${reason}`, { cause, details });
}

class TcpListener implements Listener, FdHandler {
  readonly local: SocketAddress;
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #onAccept: (connection: TcpStream) => void;
  #open = true;

  constructor(reactor: Reactor, fd: number, local: SocketAddress, onAccept: (connection: TcpStream) => void) {
    this.local = local;
    this.#reactor = reactor;
    this.#fd = fd;
    this.#onAccept = onAccept;
    reactor.own(fd);
    reactor.watch(fd, EPOLLIN, this);
  }

  onEvents(): void {
    for (let i = 0; i < ACCEPTS_PER_EVENT && this.#open; i++) {
      const fd = libc.accept4(this.#fd, slot.address.address, slot.lengthPointer(), SOCK_NONBLOCK_CLOEXEC);
      if (fd < 0) {
        const errno = lastErrno();
        if (EXHAUSTED.has(errnoName(errno))) this.#rest();
        // Other errors belong to the connection that was lost while it waited (accept(2)); the queue itself is fine.
        if (errno === EAGAIN || EXHAUSTED.has(errnoName(errno))) return;
        if (errno !== EINTR && errnoName(errno) === "EBADF") return;
        continue;
      }
      this.#reactor.own(fd);
      const remote = slot.read();
      if (remote === undefined) {
        this.#reactor.close(fd, true);
        continue;
      }
      this.#onAccept(new TcpStream(this.#reactor, fd, remote));
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#reactor.close(this.#fd, false);
  }

  #rest(): void {
    this.#reactor.rewatch(this.#fd, 0);
    this.#reactor.after(EXHAUSTED_PAUSE_MS, () => {
      if (this.#open) this.#reactor.rewatch(this.#fd, EPOLLIN);
    });
  }
}
