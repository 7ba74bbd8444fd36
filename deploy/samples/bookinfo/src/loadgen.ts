// loadgen: HTTP load with the flags and closing lines of fortio; every failure is counted and printed.
import { setTimeout as sleep } from "node:timers/promises";
import { callHttp } from "./http-call.ts";

export interface LoadOptions {
  readonly url: string;
  /** Concurrent callers. */
  readonly connections: number;
  /** Calls in all; 0 leaves the end to `durationMs`. */
  readonly calls: number;
  /** Calls per second in all; 0 is as fast as the answers come. */
  readonly qps: number;
  /** 0 is until stopped. */
  readonly durationMs: number;
  readonly timeoutMs: number;
}

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** @throws Error that names the flag which is not understood */
export function parseLoadArgs(args: readonly string[]): LoadOptions {
  const options = { url: "", connections: 4, calls: 0, qps: 8, durationMs: 5_000, timeoutMs: 15_000 };
  const queue = [...args];
  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    if (!word.startsWith("-")) {
      options.url = word;
      continue;
    }
    const [flag = "", inline] = word.replace(/^--?/, "").split("=", 2);
    if (flag === "load") continue;
    const value = inline ?? queue.shift() ?? "";
    if (flag === "c") options.connections = positive(flag, value);
    else if (flag === "n") options.calls = positive(flag, value);
    else if (flag === "qps") options.qps = positive(flag, value);
    else if (flag === "t") options.durationMs = duration(flag, value);
    else if (flag === "timeout") options.timeoutMs = duration(flag, value);
    else throw new Error(`unknown flag -${flag}; known are -c, -n, -qps, -t and -timeout`);
  }
  if (options.url === "") throw new Error("the URL is missing");
  return options;
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (text === "" || !Number.isFinite(value) || value < 0) throw new Error(`-${flag} ${text} is not a number`);
  return value;
}

function duration(flag: string, text: string): number {
  const match = DURATION.exec(text);
  if (match === null) throw new Error(`-${flag} ${text} is not a duration like 10s`);
  return Number(match[1]) * (UNIT_MS[match[2] ?? "s"] ?? 1_000);
}

export interface LoadReport {
  /** By status; -1 counts calls without an answer. */
  readonly codes: ReadonlyMap<number, number>;
  readonly calls: number;
  readonly failures: number;
  readonly elapsedMs: number;
  readonly averageMs: number;
}

/** Calls until the end that the options set, or until `signal` aborts; calls under way are finished either way. */
export async function runLoad(
  options: LoadOptions,
  signal: AbortSignal,
  onFailure: (reason: string) => void,
  onCall: (report: { calls: number; failures: number }) => void = () => undefined,
): Promise<LoadReport> {
  const codes = new Map<number, number>();
  const startMs = performance.now();
  let started = 0;
  let calls = 0;
  let failures = 0;
  let totalMs = 0;
  const over = () =>
    signal.aborted ||
    (options.calls > 0 ? started >= options.calls : options.durationMs > 0 && performance.now() - startMs >= options.durationMs);
  const caller = async () => {
    while (!over()) {
      const dueMs = options.qps === 0 ? 0 : startMs + (started / options.qps) * 1_000;
      started++;
      if (dueMs > performance.now()) await sleep(dueMs - performance.now(), undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      const sentMs = performance.now();
      const code = await oneCall(options, onFailure);
      totalMs += performance.now() - sentMs;
      calls++;
      if (code !== 200) failures++;
      codes.set(code, (codes.get(code) ?? 0) + 1);
      onCall({ calls, failures });
    }
  };
  await Promise.all(Array.from({ length: options.connections }, caller));
  return { codes, calls, failures, elapsedMs: performance.now() - startMs, averageMs: calls === 0 ? 0 : totalMs / calls };
}

async function oneCall(options: LoadOptions, onFailure: (reason: string) => void): Promise<number> {
  try {
    const { status, body } = await callHttp(options.url, { timeoutMs: options.timeoutMs, headers: { "user-agent": "loadgen" } });
    if (status !== 200) onFailure(`status ${status}`);
    // The page answers 200 with an apology in it when a service behind it is gone: that is a failure of the load too.
    const apology = /Error fetching product \w+|Ratings service is currently unavailable/.exec(body)?.[0];
    if (status === 200 && apology !== undefined) {
      onFailure(apology);
      return -1;
    }
    return status;
  } catch (error) {
    onFailure(error instanceof Error ? error.message : String(error));
    return -1;
  }
}

export function closingLines({ codes, calls, elapsedMs, averageMs }: LoadReport): string[] {
  const percent = (count: number) => ((100 * count) / Math.max(calls, 1)).toFixed(1);
  const qps = ((calls * 1_000) / Math.max(elapsedMs, 1)).toFixed(1);
  return [
    ...[...codes]
      .sort(([a], [b]) => a - b)
      .map(([code, count]) => `Code ${String(code).padStart(3)} : ${count} (${percent(count)} %)`),
    `All done ${calls} calls (plus 0 warmup) ${averageMs.toFixed(3)} ms avg, ${qps} qps`,
  ];
}

const PROGRESS_INTERVAL_MS = 500;

export async function runLoadgen(args: readonly string[]): Promise<void> {
  const options = parseLoadArgs(args);
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());
  let printed = "";
  let latest = "";
  // Lines a reader of the log can add up: what was sent so far and how much of it failed.
  const progress = setInterval(() => {
    if (latest !== printed) console.log(latest);
    printed = latest;
  }, PROGRESS_INTERVAL_MS);
  const report = await runLoad(
    options,
    stop.signal,
    (reason) => console.log(`Failure: ${reason}`),
    ({ calls, failures }) => {
      latest = `Progress: ${calls} calls, ${failures} failed`;
    },
  );
  clearInterval(progress);
  for (const line of closingLines(report)) console.log(line);
}
