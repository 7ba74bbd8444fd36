// One thread's engine: the boundary contract on top of the loop.
import type { SocketAddress } from "@ambit/core";
import type {
  Credentials,
  CredentialsPem,
  DialOptions,
  DialResult,
  Engine,
  EngineStats,
  EngineTimer,
  Listener,
  ListenOptions,
  TcpConnection,
  UdpOptions,
  UdpSocket,
} from "./contract.ts";
import { TlsCredentials } from "./credentials.ts";
import { Reactor } from "./reactor.ts";
import { registerEngine } from "./reactor-of.ts";
import { dialTcp } from "./tcp-dialer.ts";
import { openListener } from "./tcp-listener.ts";
import { openUdp } from "./udp.ts";

/** An engine and the handle on its loop. Exactly one of `run` and `driveEngine` runs it. */
export interface EngineLoop extends Engine {
  /** One turn that waits at most `maxWaitMs`. */
  poll(maxWaitMs: number): void;
  /** Turns until `stop()`; blocks the thread. */
  run(): void;
  stop(): void;
  /** Closes every descriptor, connections by RST. */
  close(): void;
}

export function createEngine(reactor = new Reactor()): EngineLoop {
  const engine = new ThreadEngine(reactor);
  registerEngine(engine, reactor);
  return engine;
}

class ThreadEngine implements EngineLoop {
  readonly #reactor: Reactor;
  readonly stats: EngineStats;
  #stopped = false;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
    this.stats = reactor;
  }

  nowMs(): number {
    return this.#reactor.nowMs();
  }

  after(delayMs: number, action: () => void): EngineTimer {
    return this.#reactor.after(delayMs, action);
  }

  defer(action: () => void): void {
    this.#reactor.defer(action);
  }

  listenTcp(options: ListenOptions, onAccept: (connection: TcpConnection) => void): Listener {
    return openListener(this.#reactor, options, onAccept);
  }

  dialTcp(options: DialOptions, done: (result: DialResult) => void): { cancel(): void } {
    return dialTcp(this.#reactor, options, done);
  }

  bindUdp(options: UdpOptions, onDatagram: (data: Uint8Array, from: SocketAddress) => void): UdpSocket {
    return openUdp(this.#reactor, options, onDatagram);
  }

  credentials(pem: CredentialsPem): Credentials {
    return new TlsCredentials(pem);
  }

  poll(maxWaitMs: number): void {
    this.#reactor.turn(maxWaitMs);
  }

  run(): void {
    this.#stopped = false;
    while (!this.#stopped) this.#reactor.turn(Number.POSITIVE_INFINITY);
  }

  stop(): void {
    this.#stopped = true;
    // A turn that waits for ever is not woken by a flag.
    this.#reactor.defer(() => undefined);
  }

  close(): void {
    this.#reactor.destroy();
  }
}
