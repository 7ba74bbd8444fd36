// The worker's side of a pool: sets up, runs the loop until it is asked to stop, and leaves no descriptor behind.
import { workerData } from "node:worker_threads";
import type { RunWorkerFunction } from "./contract.ts";
import { createEngine } from "./engine.ts";
import { engineError } from "./errors.ts";
import { FdTable } from "./fd-table.ts";
import { WorkerMailbox, type WorkerSetup } from "./mailbox.ts";
import { Reactor } from "./reactor.ts";
import { assertSymbols } from "./self-test.ts";

/** See RunWorkerFunction. @throws ENGINE_WORKER_DIED when the module was not started by a pool; ENGINE_SYMBOLS_MISSING */
export const runWorker: RunWorkerFunction = (setUp) => {
  const setup: unknown = workerData;
  if (!isWorkerSetup(setup)) throw engineError("ENGINE_WORKER_DIED", "runWorker() is for modules that startWorkerPool() starts");
  assertSymbols();
  const reactor = new Reactor(new FdTable(setup.fdTable));
  const engine = createEngine(reactor);
  const mailbox = new WorkerMailbox<never, unknown>(reactor, setup, () => engine.stop());
  try {
    // The pool's type parameters tie data and messages to this worker's; the runtime carries them as they are.
    setUp(engine, mailbox as unknown as Parameters<typeof setUp>[1], setup.data as Parameters<typeof setUp>[2]);
    mailbox.sendRunning();
    engine.run();
  } finally {
    mailbox.flush();
    engine.close();
    setup.port.close();
  }
};

function isWorkerSetup(data: unknown): data is WorkerSetup {
  return typeof data === "object" && data !== null && "ambitWorker" in data && data.ambitWorker === true;
}
