// `npm run demo`: a whole mesh on this machine, shown step by step with its evidence. `--check` asserts every step and ends.
import { once } from "node:events";
import { parseArgs } from "node:util";
import { labError, messageOf } from "../errors.ts";
import { Lab } from "../host/lab.ts";
import type { Stage, Step } from "./stage.ts";
import { steps } from "./steps.ts";

/** Short enough to see certificates rotate while one looks. */
const CERTIFICATE_LIFETIME = "20s";
const PAGE = { namespace: "bookinfo", target: "svc/productpage", port: 9080 };

interface Outcome {
  readonly title: string;
  readonly ms: number;
  /** Undefined when all of it held. */
  readonly failure: string | undefined;
}

/** Ends with exit code 1 when a step failed. */
export async function demo(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { check: { type: "boolean", default: false }, "page-port": { type: "string", default: "9080" } },
  });
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  const outcomes: Outcome[] = [];
  const startMs = performance.now();
  let lab: Lab | undefined;
  try {
    lab = await act(outcomes, "Two nodes and a control plane", () => startLab(stop.signal));
    const pagePort = await lab.forward(PAGE, values.check ? 0 : Number(values["page-port"]));
    const stage: Stage = { lab, client: lab.client, pagePort, signal: stop.signal, say };
    for (const step of steps) await act(outcomes, step.title, () => step.run(stage));
    if (!values.check) await stay(stage, lab);
  } catch (error) {
    if (!stop.signal.aborted) {
      if (lab !== undefined) console.log(`Logs are in ${lab.paths.logs}`);
      process.exitCode = 1;
      if (outcomes.at(-1)?.failure === undefined) console.error(messageOf(error));
      if (lab !== undefined && !values.check) await stayForALook(lab, stop.signal);
    }
  } finally {
    await lab?.stop();
  }
  if (values.check || process.exitCode === 1) printTable(outcomes, performance.now() - startMs);
}

async function act<T>(outcomes: Outcome[], title: string, run: () => Promise<T>): Promise<T> {
  console.log(`\n${outcomes.length + 1}  ${title}`);
  const startMs = performance.now();
  try {
    const result = await run();
    outcomes.push({ title, ms: performance.now() - startMs, failure: undefined });
    return result;
  } catch (error) {
    outcomes.push({ title, ms: performance.now() - startMs, failure: messageOf(error) });
    console.error(`   failed: ${messageOf(error)}`);
    throw error;
  }
}

async function startLab(signal: AbortSignal): Promise<Lab> {
  const seen = new Set<string>();
  return Lab.start({
    componentEnv: { SECRET_TTL: CERTIFICATE_LIFETIME },
    signal,
    onProgress: (state) => {
      for (const { name, components } of [state.controlPlane, ...state.nodes]) {
        for (const { component, ready, pid } of components) {
          const key = `${component} on ${name}`;
          if (!ready || seen.has(key)) continue;
          seen.add(key);
          say(`${key.padEnd(28)} ready, process ${pid}`);
        }
      }
    },
  });
}

/** The lab goes on until somebody ends it. */
async function stay({ pagePort, signal }: Stage, lab: Lab): Promise<void> {
  console.log(`
The mesh stays up. Try:
  open http://127.0.0.1:${pagePort}/productpage
  ./ambit status
  ./ambit explain --from deploy/productpage-v1 --to svc/ratings -n bookinfo
  ./ambit prove --from deploy/productpage-v1 --to svc/details -n bookinfo
  ./ambit edges -n bookinfo
  ./ambit cert
  ./ambit lab logs ztunnel-node-a
Ctrl-C ends it and takes everything away.`);
  if (!signal.aborted) await Promise.race([once(signal, "abort"), lab.ended]);
  if (!signal.aborted) throw labError("LAB_NOT_RUNNING", "The lab has ended by itself");
}

async function stayForALook(lab: Lab, signal: AbortSignal): Promise<void> {
  console.log("The lab stays up for a look; Ctrl-C ends it.");
  await Promise.race([once(signal, "abort"), lab.ended]);
}

function printTable(outcomes: readonly Outcome[], totalMs: number): void {
  const all = [...outcomes];
  for (const { title } of steps as readonly Step[]) {
    if (!all.some((outcome) => outcome.title === title)) all.push({ title, ms: 0, failure: "not reached" });
  }
  console.log("");
  for (const [index, { title, ms, failure }] of all.entries()) {
    const mark = failure === undefined ? "ok    " : "FAILED";
    console.log(`${String(index + 1).padStart(2)}  ${mark}  ${(ms / 1000).toFixed(1).padStart(5)} s  ${title}`);
  }
  const failed = all.filter(({ failure }) => failure !== undefined).length;
  console.log(`${all.length - failed} of ${all.length} steps held, ${(totalMs / 1000).toFixed(1)} s in all`);
}

function say(line: string): void {
  console.log(`   ${line}`);
}
