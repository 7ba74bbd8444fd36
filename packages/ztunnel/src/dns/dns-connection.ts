// One client's DNS over TCP: questions in, answers out in whatever order they come, until the client ends or falls silent.
import type { Engine, EngineTimer, TcpConnection } from "@ambit/engine";
import { LengthPrefixed, withLength } from "./length-prefixed.ts";

/** @source ztunnel src/dns/server.rs DEFAULT_TCP_REQUEST_TIMEOUT */
const IDLE_MS = 5_000;
/** Questions under way before no more are read. */
const MAX_PENDING = 64;

export interface DnsConnectionHandler {
  /** `reply` is called at most once. False: there will be no answer. */
  onQuestion(message: Uint8Array, reply: (answer: Uint8Array) => void): boolean;
  onClosed(): void;
}

/** States: open → ended by the client, the last answers are given → closed. */
export class DnsConnection {
  readonly #engine: Engine;
  readonly #connection: TcpConnection;
  readonly #handler: DnsConnectionHandler;
  readonly #reader: LengthPrefixed;
  #idle: EngineTimer;
  #pending = 0;
  #isBlocked = false;
  #hasEnded = false;
  #isClosed = false;

  constructor(engine: Engine, connection: TcpConnection, handler: DnsConnectionHandler) {
    this.#engine = engine;
    this.#connection = connection;
    this.#handler = handler;
    this.#reader = new LengthPrefixed((message) => this.#ask(message));
    this.#idle = engine.after(IDLE_MS, this.#onIdle);
    connection.handle({
      onData: (chunk) => this.#reader.push(chunk),
      onEnd: () => {
        this.#hasEnded = true;
        this.#endWhenAnswered();
      },
      onError: () => this.#finish(),
      onDrain: () => {
        this.#isBlocked = false;
        this.#throttle();
      },
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#finish();
    this.#connection.reset();
  }

  #ask(message: Uint8Array): void {
    if (this.#isClosed) return;
    this.#idle.cancel();
    this.#idle = this.#engine.after(IDLE_MS, this.#onIdle);
    this.#pending++;
    const willBeAnswered = this.#handler.onQuestion(message, (answer) => {
      this.#pending--;
      if (this.#isClosed) return;
      // A client that asks without reading must not fill our memory.
      this.#isBlocked = !this.#connection.write(withLength(answer));
      this.#throttle();
      this.#endWhenAnswered();
    });
    if (!willBeAnswered) this.#pending--;
    this.#throttle();
  }

  #throttle(): void {
    if (this.#isClosed) return;
    if (this.#isBlocked || this.#pending >= MAX_PENDING) this.#connection.pause();
    else this.#connection.resume();
  }

  #endWhenAnswered(): void {
    if (!this.#hasEnded || this.#pending > 0 || this.#isClosed) return;
    this.#finish();
    this.#connection.end();
  }

  readonly #onIdle = (): void => this.close();

  #finish(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#idle.cancel();
    this.#handler.onClosed();
  }
}
