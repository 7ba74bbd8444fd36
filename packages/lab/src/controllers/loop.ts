// Runs a piece of work after every change, never twice at a time, again when it failed.
import { Backoff, type Clock, type ClockTimer, type Logger, realClock } from "@ambit/core";
import { messageOf } from "../errors.ts";

export class Loop {
  readonly #name: string;
  readonly #work: () => Promise<void>;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #backoff = new Backoff({ initialMs: 200, maxMs: 5_000 });
  #running: Promise<void> = Promise.resolve();
  #isActive = false;
  #isDue = false;
  #stopped = false;
  #timer: ClockTimer | undefined;

  constructor(name: string, work: () => Promise<void>, logger: Logger, clock: Clock = realClock) {
    this.#name = name;
    this.#work = work;
    this.#logger = logger;
    this.#clock = clock;
  }

  /** The work runs soon; a request while it runs makes it run once more afterwards. */
  trigger(): void {
    if (this.#stopped) return;
    this.#isDue = true;
    if (!this.#isActive) this.#running = this.#run();
  }

  /** Resolves when nothing runs any more; nothing starts after that. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  /** No await stands between looking for more to do and saying that nobody looks any more. */
  async #run(): Promise<void> {
    this.#isActive = true;
    this.#timer?.cancel();
    while (this.#isDue && !this.#stopped) {
      this.#isDue = false;
      try {
        await this.#work();
        this.#backoff.reset();
      } catch (error) {
        this.#logger.warn(`${this.#name} failed, trying again`, { reason: messageOf(error) });
        if (!this.#stopped) this.#timer = this.#clock.after(this.#backoff.next(), () => this.trigger());
        break;
      }
    }
    this.#isActive = false;
  }
}
