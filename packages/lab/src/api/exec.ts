// A command inside a pod, its output as a stream of JSON lines.
import { constants } from "node:os";
import { PassThrough, type Readable } from "node:stream";
import { messageOf } from "../errors.ts";
import type { ProcessSpec } from "../namespaced-process.ts";
import { signalGroup, startPiped } from "../namespaced-process.ts";
import type { ExecEvent } from "./contract.ts";

/** Ends with the exit code. A reader that goes away ends the command. */
export function execStream(spec: ProcessSpec): Readable {
  const lines = new PassThrough();
  const tell = (event: ExecEvent) => void (lines.writable ? lines.write(`${JSON.stringify(event)}\n`) : undefined);
  const child = startPiped(spec);
  child.stdin?.end();
  for (const stream of ["stdout", "stderr"] as const)
    child[stream]?.on("data", (data: Buffer) => tell({ stream, base64: data.toString("base64") }));
  child.on("error", (error) => {
    tell({ stream: "stderr", base64: Buffer.from(`${messageOf(error)}\n`).toString("base64") });
    tell({ exitCode: 127 });
    lines.end();
  });
  // After the last output, unlike exit.
  child.on("close", (code, signal) => {
    tell({ exitCode: code ?? 128 + (signal === null ? 0 : constants.signals[signal]) });
    lines.end();
  });
  lines.on("close", () => signalGroup(child, "SIGKILL"));
  return lines;
}
