// How the marked request went, as the program in the pod reports it.
import { fileURLToPath } from "node:url";
import { z } from "zod";

const schema = z.object({
  /** What the application dialled: perhaps a Service's address. Empty when there was no connection. */
  remoteIp: z.string(),
  remotePort: z.number(),
  localPort: z.number(),
  isAnswered: z.boolean(),
  /** `HTTP 200`, or why there is no answer. */
  answer: z.string(),
});

export type RequestOutcome = z.output<typeof schema>;

const PROGRAM = fileURLToPath(new URL("./marked-request.ts", import.meta.url));

export function requestCommand(url: string): string[] {
  return [process.execPath, PROGRAM, url];
}

/** undefined when the program did not come as far as to report. */
export function parseOutcome(output: string): RequestOutcome | undefined {
  try {
    return schema.parse(JSON.parse(output));
  } catch {
    // Not a report: the caller tells what the program said instead.
    return undefined;
  }
}
