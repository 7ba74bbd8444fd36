// The frame of every process: configuration errors, signals, exit codes.
import { hasCode } from "@ambit/core";

/** EX_CONFIG of sysexits.h is 78; the field's proxies use 64, and so do we. */
const EXIT_CONFIG = 64;
const EXIT_FAILED = 1;
const EXIT_INTERRUPTED = 130;

/**
 * Runs `main` until it returns or a signal asks it to stop: SIGTERM and the first SIGINT abort the signal, a second SIGINT exits at once.
 * A rejection nobody handled ends the process: going on with unknown state would not fail closed.
 */
export async function runMain(
  main: (signal: AbortSignal, io: { onExit(flush: () => void): void }) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const flushes: (() => void)[] = [];
  const exit = (code: number): never => {
    for (const flush of flushes) flush();
    process.exit(code);
  };
  process.on("SIGTERM", () => stop.abort());
  process.on("SIGINT", () => {
    if (stop.signal.aborted) exit(EXIT_INTERRUPTED);
    stop.abort();
  });
  const fatal = (error: unknown) => {
    console.error(error);
    exit(EXIT_FAILED);
  };
  process.on("unhandledRejection", fatal);
  process.on("uncaughtException", fatal);
  try {
    await main(stop.signal, { onExit: (flush) => void flushes.push(flush) });
  } catch (error) {
    if (hasCode(error, "RUNTIME_CONFIG_INVALID")) {
      console.error(error.message);
      exit(EXIT_CONFIG);
    }
    fatal(error);
  }
  exit(0);
}
