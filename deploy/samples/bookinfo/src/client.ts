// client: a pod that does nothing until somebody runs a command in it, and the command to run: one HTTP request.
import { callHttp } from "./http-call.ts";
import { terminated } from "./http-server.ts";

export async function runClient(): Promise<void> {
  console.log("client waits; run a command in this pod");
  // Signal handlers do not keep a process alive.
  const idle = setInterval(() => undefined, 1 << 30);
  await terminated();
  clearInterval(idle);
}

const FETCH_TIMEOUT_MS = 10_000;
/** What curl exits with when the connection was reset, and when it could not be opened. */
const EXIT_RESET = 56;
const EXIT_REFUSED = 7;

/** `fetch URL [METHOD]`: status and body on standard output; without an answer the reason on standard error, and curl's exit codes. */
export async function runFetch([url = "", method = "GET"]: readonly string[]): Promise<void> {
  try {
    const { status, body } = await callHttp(url, { method, timeoutMs: FETCH_TIMEOUT_MS });
    process.stdout.write(`${status}\n${body}\n`);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    console.error(`000 ${reasonOf(error)}`);
    process.exitCode = code === "ECONNREFUSED" ? EXIT_REFUSED : EXIT_RESET;
  }
}

/** Where a name has several addresses the error is one per address and has no text of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return [...new Set(error.errors.map(reasonOf))].join(", ");
  return error instanceof Error ? error.message : String(error);
}
