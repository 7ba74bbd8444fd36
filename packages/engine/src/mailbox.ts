// Messages between the main thread and a worker that runs no Node event loop: a MessagePort one way drained when an eventfd says so.
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { clearEventFd, EPOLLIN, wakeEventFd } from "@ambit/linux/syscalls";
import type { FdHandler, Reactor } from "./reactor.ts";

/** What the main thread sends. */
export type ToWorkerEnvelope = { readonly kind: "message"; readonly message: unknown } | { readonly kind: "stop" };

/** What a worker sends; messages of one turn travel together. */
export type ToMainEnvelope = { readonly kind: "running" } | { readonly kind: "messages"; readonly messages: readonly unknown[] };

/** Handed to a worker as its workerData; everything is shared or transferred. */
export interface WorkerSetup {
  readonly ambitWorker: true;
  readonly data: unknown;
  readonly port: MessagePort;
  /** eventfd that belongs to the main thread. */
  readonly wakeFd: number;
  readonly fdTable: SharedArrayBuffer;
}

/** Messages taken per event: a flood from the main thread must not hold up connections. */
const MESSAGES_PER_EVENT = 256;

/** Main thread: puts a message in and wakes the worker. */
export function sendToWorker(port: MessagePort, wakeFd: number, envelope: ToWorkerEnvelope): void {
  port.postMessage(envelope);
  wakeEventFd(wakeFd);
}

/** Worker: its end of the mailbox, drained by the loop. */
export class WorkerMailbox<ToWorker, ToMain> implements FdHandler {
  readonly #reactor: Reactor;
  readonly #port: MessagePort;
  readonly #wakeFd: number;
  readonly #onStop: () => void;
  #handler: ((message: ToWorker) => void) | undefined;
  #early: ToWorker[] = [];
  #outgoing: ToMain[] = [];

  constructor(reactor: Reactor, setup: WorkerSetup, onStop: () => void) {
    this.#reactor = reactor;
    this.#port = setup.port;
    this.#wakeFd = setup.wakeFd;
    this.#onStop = onStop;
    reactor.watch(setup.wakeFd, EPOLLIN, this);
  }

  /** Structured clone; travels at the end of the turn. */
  post(message: ToMain): void {
    this.#outgoing.push(message);
    if (this.#outgoing.length === 1) this.#reactor.defer(this.#send);
  }

  /** Messages that came earlier are given to the handler too. */
  onMessage(handler: (message: ToWorker) => void): void {
    this.#handler = handler;
    const early = this.#early;
    this.#early = [];
    for (const message of early) handler(message);
  }

  sendRunning(): void {
    this.#postToMain({ kind: "running" });
  }

  onEvents(): void {
    clearEventFd(this.#wakeFd);
    for (let i = 0; i < MESSAGES_PER_EVENT; i++) {
      const received: { message: ToWorkerEnvelope } | undefined = receiveMessageOnPort(this.#port);
      if (received === undefined) return;
      if (received.message.kind === "stop") this.#onStop();
      // The other end of the port is ours: whoever typed the pool typed the messages.
      else this.#deliver(received.message.message as ToWorker);
    }
    this.#reactor.again(this);
  }

  /** What is still to be sent when the loop ends. */
  flush(): void {
    this.#send();
  }

  readonly #send = (): void => {
    const messages = this.#outgoing;
    if (messages.length === 0) return;
    this.#outgoing = [];
    this.#postToMain({ kind: "messages", messages });
  };

  #deliver(message: ToWorker): void {
    if (this.#handler === undefined) this.#early.push(message);
    else this.#handler(message);
  }

  #postToMain(envelope: ToMainEnvelope): void {
    this.#port.postMessage(envelope);
  }
}
