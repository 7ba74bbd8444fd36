// A program that is started again whenever it ends, after a pause that grows while it keeps ending soon.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Backoff, type Logger } from "@ambit/core";
import { messageOf } from "./errors.ts";
import { signalGroup } from "./namespaced-process.ts";

export interface SupervisedOptions {
  readonly name: string;
  readonly initialBackoffMs: number;
  readonly maxBackoffMs: number;
  start(): ChildProcess;
  /** Called whenever it has started or ended. */
  onChange(): void;
  readonly logger: Logger;
}

/** Having run for this long a program counts as having worked: its next pause is the first one again. */
const WORKED_MS = 10_000;

export class SupervisedProcess {
  readonly #options: SupervisedOptions;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  #child: ChildProcess | undefined;
  #restarts = 0;
  #lastEnd = "";
  #skipPause = new AbortController();
  #done: Promise<void> | undefined;

  constructor(options: SupervisedOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ initialMs: options.initialBackoffMs, maxMs: options.maxBackoffMs, jitter: 0 });
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** How it ended last, `exit code 1` or `signal SIGKILL`; empty when it never did. */
  get lastEnd(): string {
    return this.#lastEnd;
  }

  start(): void {
    this.#done ??= this.#run();
  }

  /** False when it is not running. */
  signal(signal: NodeJS.Signals): boolean {
    return this.#child !== undefined && signalGroup(this.#child, signal);
  }

  /** Asks it to end and starts it again without a pause. */
  restart(graceMs: number): void {
    this.#skipPause.abort();
    this.#end(graceMs);
  }

  /** SIGTERM, SIGKILL after the grace period; resolves when it has ended for good. */
  async stop(graceMs: number): Promise<void> {
    this.#stop.abort();
    this.#end(graceMs);
    await this.#done;
  }

  #end(graceMs: number): void {
    const child = this.#child;
    if (child === undefined) return;
    signalGroup(child, "SIGTERM");
    const timer = setTimeout(() => signalGroup(child, "SIGKILL"), graceMs);
    child.once("exit", () => clearTimeout(timer));
  }

  async #run(): Promise<void> {
    const { name, logger } = this.#options;
    while (!this.#stop.signal.aborted) {
      const startedMs = Date.now();
      try {
        this.#lastEnd = await this.#runOnce();
      } catch (error) {
        this.#lastEnd = messageOf(error);
      }
      this.#child = undefined;
      this.#options.onChange();
      if (this.#stop.signal.aborted) return;
      if (Date.now() - startedMs > WORKED_MS) this.#backoff.reset();
      logger.warn("A process ended and is started again", { name, end: this.#lastEnd });
      await this.#pause();
      this.#restarts++;
    }
  }

  async #runOnce(): Promise<string> {
    const child = this.#options.start();
    const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
    this.#child = child;
    this.#skipPause = new AbortController();
    this.#options.onChange();
    const [code, signal] = await exited;
    // Children that the program left behind would hold its ports.
    if (child.pid !== undefined) killGroup(child.pid);
    return signal === null ? `exit code ${code}` : `signal ${signal}`;
  }

  async #pause(): Promise<void> {
    const signal = AbortSignal.any([this.#stop.signal, this.#skipPause.signal]);
    await sleep(this.#backoff.next(), undefined, { signal }).catch(() => undefined);
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
