// Opening TCP connections from inside a network namespace, with a time limit.

import { constants } from "node:os";
import type { MeshError } from "@ambit/core";
import { formatSocketAddress } from "@ambit/core";
import { connectTcp, EPOLLOUT, setResetOnClose, socketError } from "@ambit/linux/syscalls";
import type { DialOptions, DialResult, EngineTimer } from "./contract.ts";
import { connectError, engineError } from "./errors.ts";
import type { FdHandler, Reactor } from "./reactor.ts";
import { TcpStream } from "./tcp-stream.ts";

/** `done` is called once, from the loop. A cancelled dial reports ENGINE_CONNECT_CANCELLED. */
export function dialTcp(reactor: Reactor, options: DialOptions, done: (result: DialResult) => void): { cancel(): void } {
  return new Dial(reactor, options, done);
}

class Dial implements FdHandler {
  readonly #reactor: Reactor;
  readonly #options: DialOptions;
  readonly #timer: EngineTimer | undefined;
  #done: ((result: DialResult) => void) | undefined;
  #fd = -1;

  constructor(reactor: Reactor, options: DialOptions, done: (result: DialResult) => void) {
    this.#reactor = reactor;
    this.#options = options;
    this.#done = done;
    try {
      this.#fd = connectTcp(options);
      setResetOnClose(this.#fd, true);
    } catch (error) {
      this.#finish({ kind: "failed", error: immediateFailure(error, options) });
      return;
    }
    reactor.own(this.#fd);
    reactor.watch(this.#fd, EPOLLOUT, this);
    this.#timer = reactor.after(options.timeoutMs, () => {
      const message = `Connection timed out after ${options.timeoutMs} ms`;
      this.#finish({
        kind: "failed",
        error: engineError("ENGINE_CONNECT_TIMED_OUT", message, { details: { errno: "ETIMEDOUT" } }),
      });
    });
  }

  onEvents(): void {
    const errno = socketError(this.#fd);
    if (errno !== 0) {
      this.#finish({ kind: "failed", error: connectError(errno) });
      return;
    }
    const fd = this.#fd;
    this.#fd = -1;
    this.#reactor.unwatch(fd);
    this.#finish({ kind: "connected", connection: new TcpStream(this.#reactor, fd, this.#options.remote) });
  }

  cancel(): void {
    const message = `Connecting to ${formatSocketAddress(this.#options.remote)} was given up`;
    this.#finish({ kind: "failed", error: engineError("ENGINE_CONNECT_CANCELLED", message) });
  }

  #finish(result: DialResult): void {
    const done = this.#done;
    if (done === undefined) return;
    this.#done = undefined;
    this.#timer?.cancel();
    if (this.#fd >= 0) this.#reactor.close(this.#fd, true);
    this.#reactor.defer(() => done(result));
  }
}

/** connect(2) and bind(2) failing at once: no route, no permission to spoof, no IPv6. */
function immediateFailure(error: unknown, options: DialOptions): MeshError {
  const name = error instanceof Error && "details" in error ? String((error.details as { errno?: unknown }).errno) : "";
  const errno = Object.entries(constants.errno).find(([key]) => key === name)?.[1];
  const message = error instanceof Error ? error.message : String(error);
  if (errno !== undefined && message.startsWith("connect:")) return connectError(errno);
  return engineError("ENGINE_CONNECT_FAILED", `Cannot connect to ${formatSocketAddress(options.remote)}: ${message}`, {
    cause: error,
    details: { errno: name },
  });
}
