// The data-plane threads of a process: started, spoken to, replaced when they die, stopped.
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { asMeshError, type MeshError } from "@ambit/core";
import { libc, openEventFd } from "@ambit/linux/syscalls";
import type { WorkerPool, WorkerPoolOptions } from "./contract.ts";
import { engineError } from "./errors.ts";
import { FdTable } from "./fd-table.ts";
import { sendToWorker, type ToMainEnvelope, type WorkerSetup } from "./mailbox.ts";
import { assertSymbols } from "./self-test.ts";

/** A worker that dies at once again and again is started again ever more slowly. */
const FIRST_RESTART_MS = 20;
const LAST_RESTART_MS = 5_000;
/** One that has run this long starts anew with the first delay. */
const STABLE_AFTER_MS = 30_000;
const STOP_DEADLINE_MS = 5_000;

/**
 * Starts the workers; resolves when all of them run.
 * @throws ENGINE_SYMBOLS_MISSING; whatever a worker's set-up threw, when it threw at the first start
 */
export async function startWorkerPool<ToWorker, ToMain>(options: WorkerPoolOptions<ToMain>): Promise<WorkerPool<ToWorker>> {
  assertSymbols();
  const pool = new ThreadPool<ToWorker, ToMain>(options);
  await pool.start();
  return pool;
}

interface Slot {
  readonly worker: Worker;
  readonly port: MessagePort;
  readonly wakeFd: number;
  readonly fds: FdTable;
  readonly startedMs: number;
  readonly exited: Promise<void>;
  running: boolean;
  error: MeshError | undefined;
}

class ThreadPool<ToWorker, ToMain> implements WorkerPool<ToWorker> {
  readonly size: number;
  readonly #options: WorkerPoolOptions<ToMain>;
  readonly #slots: (Slot | undefined)[];
  readonly #delaysMs: number[];
  readonly #restartTimers = new Set<NodeJS.Timeout>();
  #restarts = 0;
  #stopping = false;

  constructor(options: WorkerPoolOptions<ToMain>) {
    this.size = options.count;
    this.#options = options;
    this.#slots = new Array<Slot | undefined>(options.count).fill(undefined);
    this.#delaysMs = new Array<number>(options.count).fill(FIRST_RESTART_MS);
  }

  get restarts(): number {
    return this.#restarts;
  }

  async start(): Promise<void> {
    const starts = this.#slots.map((_, index) => this.#spawn(index));
    const results = await Promise.allSettled(starts);
    const failed = results.find((result) => result.status === "rejected");
    if (failed === undefined) return;
    await this.stop();
    throw failed.reason;
  }

  broadcast(message: ToWorker): void {
    for (const slot of this.#slots) if (slot?.running === true) send(slot, message);
  }

  post(worker: number, message: ToWorker): void {
    const slot = this.#slots[worker];
    if (slot?.running === true) send(slot, message);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#restartTimers) clearTimeout(timer);
    await Promise.all(this.#slots.map((slot) => (slot === undefined ? undefined : stopSlot(slot))));
  }

  /** Resolves when the worker runs, rejects when it dies before that. */
  #spawn(index: number): Promise<void> {
    const { port1, port2 } = new MessageChannel();
    const wakeFd = openEventFd();
    const fds = new FdTable();
    const setup: WorkerSetup = { ambitWorker: true, data: this.#options.data, port: port2, wakeFd, fdTable: fds.memory };
    const worker = new Worker(this.#options.entry, { workerData: setup, transferList: [port2] });
    const exit = Promise.withResolvers<void>();
    const running = Promise.withResolvers<void>();
    const slot: Slot = {
      worker,
      port: port1,
      wakeFd,
      fds,
      startedMs: performance.now(),
      exited: exit.promise,
      running: false,
      error: undefined,
    };
    this.#slots[index] = slot;
    port1.on("message", (envelope: ToMainEnvelope) => {
      if (envelope.kind === "running") {
        slot.running = true;
        running.resolve();
        this.#options.onStart(index);
      } else for (const message of envelope.messages) this.#options.onMessage(index, message as ToMain);
    });
    worker.on("error", (error) => {
      slot.error = asMeshError(error, "ENGINE_WORKER_DIED");
    });
    worker.on("exit", (code) => {
      const wasRunning = slot.running;
      slot.running = false;
      port1.close();
      // What the worker's own clean-up could not reach: connections end by RST, and nobody's number is closed by mistake.
      fds.closeAll();
      libc.close(wakeFd);
      exit.resolve();
      const error = died(index, code, slot.error);
      if (wasRunning) this.#onDeath(index, slot, error);
      else running.reject(error);
    });
    return running.promise;
  }

  #onDeath(index: number, slot: Slot, error: MeshError): void {
    if (this.#stopping) return;
    this.#options.onDeath(index, error);
    const delayMs =
      performance.now() - slot.startedMs > STABLE_AFTER_MS ? FIRST_RESTART_MS : (this.#delaysMs[index] ?? FIRST_RESTART_MS);
    this.#delaysMs[index] = Math.min(delayMs * 2, LAST_RESTART_MS);
    const timer = setTimeout(() => {
      this.#restartTimers.delete(timer);
      this.#restarts++;
      this.#spawn(index).catch((failure: unknown) => this.#onDeath(index, slot, asMeshError(failure, "ENGINE_WORKER_DIED")));
    }, delayMs);
    this.#restartTimers.add(timer);
  }
}

function send(slot: Slot, message: unknown): void {
  sendToWorker(slot.port, slot.wakeFd, { kind: "message", message });
}

async function stopSlot(slot: Slot): Promise<void> {
  const deadline = setTimeout(() => void slot.worker.terminate(), STOP_DEADLINE_MS);
  try {
    // A worker that has exited has closed its port, and a message to it goes nowhere.
    if (slot.running) sendToWorker(slot.port, slot.wakeFd, { kind: "stop" });
    else void slot.worker.terminate();
    await slot.exited;
  } finally {
    clearTimeout(deadline);
  }
}

function died(index: number, exitCode: number, cause: MeshError | undefined): MeshError {
  const why = cause?.message ?? `exit code ${exitCode}`;
  return engineError("ENGINE_WORKER_DIED", `Data-plane worker ${index} died: ${why}`, { cause, details: { worker: index } });
}
