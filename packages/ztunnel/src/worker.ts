// Entry of a data-plane thread.
import { runWorker } from "@ambit/engine";
import { DataPlane } from "./proxy/data-plane.ts";
import type { ToMain, ToWorker, WorkerData } from "./worker-messages.ts";

runWorker<ToWorker, ToMain, WorkerData>((engine, mailbox, data) => {
  const plane = new DataPlane(engine, data, (message) => mailbox.post(message));
  mailbox.onMessage((message) => plane.handle(message));
});
