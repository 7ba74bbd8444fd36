// What every step of the demonstration works with: the lab, the output, and the way to say that something does not hold.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { LabClient } from "../api/client.ts";
import type { PodSummary } from "../api/contract.ts";
import { labError, messageOf } from "../errors.ts";
import type { Lab } from "../host/lab.ts";
import { REPOSITORY } from "../paths.ts";

export const NAMESPACE = "bookinfo";
const SAMPLES = join(REPOSITORY, "deploy/samples/bookinfo/kube");
const LOOK_AGAIN_MS = 100;

export interface Stage {
  readonly lab: Lab;
  readonly client: LabClient;
  /** Port of the page on this machine's loopback. */
  readonly pagePort: number;
  readonly signal: AbortSignal;
  /** One line of evidence. */
  say(line: string): void;
}

/** One act: it prints what it shows and throws when it does not hold. */
export interface Step {
  readonly title: string;
  run(stage: Stage): Promise<void>;
}

/** @throws LAB_DEMO_FAILED unless `holds` */
export function expectThat(holds: boolean, otherwise: string): void {
  if (!holds) throw labError("LAB_DEMO_FAILED", otherwise);
}

/** Asks again until there is an answer. @throws LAB_DEMO_FAILED with `what` and the last failure after `timeoutMs` */
export async function waitFor<T>(
  what: string,
  { signal }: Pick<Stage, "signal">,
  look: () => Promise<T | undefined>,
  timeoutMs = 30_000,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    let failure = "";
    try {
      const found = await look();
      if (found !== undefined) return found;
    } catch (error) {
      failure = `: ${messageOf(error)}`;
    }
    signal.throwIfAborted();
    if (performance.now() > deadlineMs) throw labError("LAB_DEMO_FAILED", `${what}: not within ${timeoutMs / 1000} s${failure}`);
    await sleep(LOOK_AGAIN_MS);
  }
}

/** Applies a manifest of the Bookinfo sample. */
export async function applySample({ client }: Stage, name: string): Promise<void> {
  const file = join(SAMPLES, `${name}.yaml`);
  await client.apply({ yaml: await readFile(file, "utf8"), file });
}

export async function podsOf({ client }: Stage, namespace: string): Promise<readonly PodSummary[]> {
  return (await client.state()).pods.filter((pod) => pod.namespace === namespace);
}

export async function waitUntilReady(stage: Stage, namespace: string, atLeast: number): Promise<readonly PodSummary[]> {
  return waitFor(`Pods of ${namespace} become ready`, stage, async () => {
    const pods = await podsOf(stage, namespace);
    return pods.length >= atLeast && pods.every((pod) => pod.ready) ? pods : undefined;
  });
}

export interface Fetched {
  /** 0 when there was no answer. */
  readonly status: number;
  /** Body, or why there is no answer. */
  readonly text: string;
  readonly exitCode: number;
}

/** One HTTP request out of a pod. */
export async function fetchFrom({ client }: Stage, namespace: string, pod: string, url: string): Promise<Fetched> {
  const { exitCode, stdout, stderr } = await client.exec({ namespace, pod, command: ["node", "src/main.ts", "fetch", url] });
  const [first = "", ...rest] = stdout.split("\n");
  return exitCode === 0
    ? { status: Number(first), text: rest.join("\n").trim(), exitCode }
    : { status: 0, text: stderr.trim(), exitCode };
}

/** The page as a browser on this machine gets it. */
export async function fetchPage({ pagePort }: Stage): Promise<{ readonly status: number; readonly body: string }> {
  const response = await fetch(`http://127.0.0.1:${pagePort}/productpage`);
  return { status: response.status, body: await response.text() };
}

/** Runs the repository's own `ambit` against this lab. */
export function ambit(
  { lab }: Stage,
  ...args: readonly string[]
): Promise<{ readonly exitCode: number; readonly output: string }> {
  const main = join(REPOSITORY, "packages/cli/src/main.ts");
  const env = { ...process.env, AMBIT_LAB_DIR: lab.paths.root };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [main, ...args], { env }, (_error, stdout, stderr) =>
      resolve({ exitCode: child.exitCode ?? 1, output: `${stdout}${stderr}`.trimEnd() }),
    );
  });
}

export interface LoadCount {
  readonly calls: number;
  readonly failed: number;
}

/** What the load generator has counted so far; pods keep their log over a restart of the proxy. */
export async function loadCount(stage: Stage): Promise<LoadCount> {
  const log = await stage.client.logs(await trafficLog(stage));
  const last = [...log.matchAll(/^Progress: (\d+) calls, (\d+) failed$/gm)].at(-1);
  return { calls: Number(last?.[1] ?? 0), failed: Number(last?.[2] ?? 0) };
}

/** Why calls failed, newest last. */
export async function loadFailures(stage: Stage): Promise<string[]> {
  const log = await stage.client.logs(await trafficLog(stage));
  return [...log.matchAll(/^Failure: (.*)$/gm)].map((match) => match[1] ?? "");
}

/** Waits until the load has made `more` further calls. @throws LAB_DEMO_FAILED when one of them failed */
export async function loadGoesOn(stage: Stage, before: LoadCount, more: number): Promise<LoadCount> {
  const after = await waitFor("The load goes on", stage, async () => {
    const now = await loadCount(stage);
    return now.calls >= before.calls + more ? now : undefined;
  });
  if (after.failed > before.failed) {
    const reasons = (await loadFailures(stage)).slice(-(after.failed - before.failed));
    throw labError(
      "LAB_DEMO_FAILED",
      `${after.failed - before.failed} calls of the load failed: ${[...new Set(reasons)].join("; ")}`,
    );
  }
  return after;
}

async function trafficLog({ client }: Stage): Promise<string> {
  const name = (await client.logNames()).find((candidate) => candidate.startsWith(`${NAMESPACE}_traffic`));
  if (name === undefined) throw labError("LAB_DEMO_FAILED", "The load generator has written no log");
  return name;
}

export async function accessLines({ client }: Stage, node: string): Promise<string[]> {
  return (await client.logs(`ztunnel-${node}`)).split("\n").filter((line) => line.includes("\taccess\t"));
}

/** Names of the lab's nodes. */
export async function nodeNames({ client }: Stage): Promise<string[]> {
  return (await client.state()).nodes.map(({ name }) => name);
}
