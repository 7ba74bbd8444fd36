// The ambit command.
import { run } from "./run.ts";

const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort());
process.exitCode = await run(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  env: process.env,
  signal: interrupted.signal,
});
