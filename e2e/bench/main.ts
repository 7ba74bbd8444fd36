// npm run bench: client → proxy → mutual TLS → proxy → server, all contenders in one run, in interleaved blocks.
import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { writeBenchCertificates } from "./certificates.ts";
import type { Contender, Running } from "./contender.ts";
import { ambit } from "./contenders/ambit.ts";
import { direct } from "./contenders/direct.ts";
import { haproxy } from "./contenders/haproxy.ts";
import { nginx } from "./contenders/nginx.ts";
import { peer } from "./contenders/peer.ts";
import { type Measure, measures } from "./measures.ts";
import { cpuSeconds, residentMebibytes } from "./processes.ts";
import { type Block, formatReport, reportLines } from "./report.ts";
import { Rig } from "./rig.ts";

const { values: options } = parseArgs({
  options: {
    blocks: { type: "string", default: "4" },
    seconds: { type: "string", default: "3" },
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    measure: { type: "string" },
    peer: { type: "string", multiple: true, default: [] },
    json: { type: "string" },
    keep: { type: "boolean", default: false },
  },
});
const blocks = options.quick ? 1 : Number(options.blocks);
const seconds = options.quick ? 1 : Number(options.seconds);
const wanted = options.only?.split(",");
const contenders = [direct, nginx, haproxy, ambit, ...options.peer.map((directory) => peer(resolve(directory)))].filter(
  (contender) => wanted === undefined || wanted.includes(contender.name),
);
const chosen = measures.filter((measure) => options.measure === undefined || options.measure.split(",").includes(measure.name));

const directory = await mkdtemp(join(tmpdir(), "ambit-bench-"));
const rig = new Rig(directory);
const running = new Map<Contender, Running>();
try {
  writeBenchCertificates(directory);
  for (const contender of contenders) running.set(contender, await contender.start(rig));
  console.log(`${blocks} block(s) of ${seconds} s; contenders ${contenders.map((contender) => contender.name).join(", ")}`);
  const results = measureAll(running, chosen);
  const memory = new Map(
    [...running]
      .filter(([, pair]) => pair.pids().length > 0)
      .map(([contender, pair]) => [contender.name, residentMebibytes(pair.pids())] as const),
  );
  const lines = reportLines(chosen, results);
  console.log(formatReport(chosen, lines, memory));
  if (options.json !== undefined) {
    writeFileSync(
      options.json,
      `${JSON.stringify({ blocks, seconds, measures: lines, residentMebibytes: Object.fromEntries(memory) }, null, 2)}\n`,
    );
  }
  const failed = lines.filter((line) => line.contender === "ambit" && line.errors.length > 0);
  if (failed.length > 0) {
    console.error(`ambit failed requests in: ${failed.map((line) => `${line.name} (${line.errors.join("; ")})`).join(", ")}`);
    process.exitCode = 1;
  }
} finally {
  for (const pair of running.values()) await pair.stop();
  await rig.close();
  if (options.keep) console.log(`The rig's files stay in ${directory}`);
  else await rm(directory, { recursive: true, force: true });
}

/** Every other block runs the contenders in reverse order, so that a drift of the machine hits both ends alike. */
function measureAll(pairs: ReadonlyMap<Contender, Running>, which: readonly Measure[]): Map<string, Map<string, Block[]>> {
  const results = new Map<string, Map<string, Block[]>>();
  for (const measure of which) results.set(measure.name, new Map([...pairs.keys()].map((contender) => [contender.name, []])));
  for (let block = 0; block < blocks; block++) {
    const order = block % 2 === 0 ? [...pairs] : [...pairs].reverse();
    for (const measure of which) {
      for (const [contender, pair] of order) {
        const pids = pair.pids();
        const before = cpuSeconds(pids);
        const sample = measure.run(pair.target, seconds);
        results
          .get(measure.name)
          ?.get(contender.name)
          ?.push({ ...sample, cpuSeconds: cpuSeconds(pids) - before });
      }
    }
  }
  return results;
}
