// Asks the node's own nameservers, over UDP or TCP, from inside a given network namespace.

import { randomInt } from "node:crypto";
import type { IpAddress, SocketAddress } from "@ambit/core";
import type { Engine, TcpConnection } from "@ambit/engine";
import type { Netns } from "@ambit/linux";
import { LengthPrefixed, withLength } from "./length-prefixed.ts";

export interface ForwarderOptions {
  readonly nameservers: readonly IpAddress[];
  readonly netns: Netns | undefined;
  readonly mark: number;
}

/** Of one server; then the next one is asked. */
const SERVER_TIMEOUT_MS = 2_500;
const DNS_SERVER_PORT = 53;
/** Each takes a socket of the whole node: a pod that floods must not use them up for all others. */
const MAX_QUESTIONS = 512;

export class Forwarder {
  readonly #engine: Engine;
  readonly #options: ForwarderOptions;
  readonly #open = new Set<{ close(): void }>();

  constructor(engine: Engine, options: ForwarderOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  /**
   * Sends the query to one server after the other until one answers.
   * @param query a whole message; its id is replaced on the way and put back into the answer
   * @param done once; undefined when no server has answered, or too many are being asked
   */
  ask(query: Uint8Array, protocol: "udp" | "tcp", done: (answer: Uint8Array | undefined) => void): void {
    const message = query.slice();
    const id = randomInt(0x10000);
    message[0] = id >> 8;
    message[1] = id & 0xff;
    const next = (index: number) => {
      const ip = this.#options.nameservers[index];
      if (ip === undefined || this.#open.size >= MAX_QUESTIONS) {
        done(undefined);
        return;
      }
      const server = { ip, port: DNS_SERVER_PORT };
      const onAnswer = (answer: Uint8Array | undefined) => {
        if (answer === undefined) {
          next(index + 1);
          return;
        }
        const restored = answer.slice();
        restored[0] = query[0] ?? 0;
        restored[1] = query[1] ?? 0;
        done(restored);
      };
      if (protocol === "udp") this.#askOverUdp(message, server, onAnswer);
      else this.#askOverTcp(message, server, onAnswer);
    };
    next(0);
  }

  close(): void {
    for (const attempt of this.#open) attempt.close();
    this.#open.clear();
  }

  /** A socket per question: the kernel chooses a random port, which an off-path forger would have to guess as well. */
  #askOverUdp(message: Uint8Array, server: SocketAddress, done: (answer: Uint8Array | undefined) => void): void {
    const { netns, mark } = this.#options;
    const address = (server.ip.includes(":") ? "::" : "0.0.0.0") as IpAddress;
    const finish = this.#attempt(done, () => socket.close());
    const socket = this.#engine.bindUdp({ netns, mark, address, port: 0 }, (data, from) => {
      const isAnswer = data.length >= 12 && data[0] === message[0] && data[1] === message[1] && ((data[2] ?? 0) & 0x80) !== 0;
      if (isAnswer && from.ip === server.ip && from.port === server.port) finish(data.slice());
    });
    socket.send(message, server);
  }

  #askOverTcp(message: Uint8Array, server: SocketAddress, done: (answer: Uint8Array | undefined) => void): void {
    const { netns, mark } = this.#options;
    let connection: TcpConnection | undefined;
    const finish = this.#attempt(done, () => {
      dial.cancel();
      connection?.reset();
    });
    const dial = this.#engine.dialTcp({ netns, mark, remote: server, timeoutMs: SERVER_TIMEOUT_MS }, (result) => {
      if (result.kind === "failed") {
        finish(undefined);
        return;
      }
      connection = result.connection;
      const reader = new LengthPrefixed((answer) => finish(answer));
      connection.handle({
        onData: (chunk) => reader.push(chunk),
        onEnd: () => finish(undefined),
        onError: () => finish(undefined),
      });
      connection.write(withLength(message));
    });
  }

  #attempt(done: (answer: Uint8Array | undefined) => void, close: () => void): (answer: Uint8Array | undefined) => void {
    let isPending = true;
    const attempt = {
      close: () => {
        isPending = false;
        timer.cancel();
        close();
      },
    };
    const finish = (answer: Uint8Array | undefined) => {
      if (!isPending) return;
      this.#open.delete(attempt);
      attempt.close();
      done(answer);
    };
    const timer = this.#engine.after(SERVER_TIMEOUT_MS, () => finish(undefined));
    this.#open.add(attempt);
    return finish;
  }
}
