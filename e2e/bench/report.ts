// The table that people read and the JSON that programs read.
import type { Measure, Sample } from "./measures.ts";
import { pairedRatios, type Spread, spread } from "./statistics.ts";

export interface Block extends Sample {
  /** CPU seconds of the contender's processes during the sample. */
  readonly cpuSeconds: number;
}

/** measure name → contender name → one entry per block. */
export type Results = ReadonlyMap<string, ReadonlyMap<string, readonly Block[]>>;

export interface ReportLine {
  readonly name: string;
  readonly contender: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Contender's figure over nginx's of the same block; above 1 is better for rates, below 1 for latencies. */
  readonly ratioToNginx: Spread | undefined;
  /** CPU seconds per gigabyte; microseconds per request or connection. */
  readonly cpuPerUnit: number | undefined;
  readonly p99Us: number | undefined;
  readonly errors: readonly string[];
}

export function reportLines(measures: readonly Measure[], results: Results): ReportLine[] {
  const lines: ReportLine[] = [];
  for (const measure of measures) {
    const byContender = results.get(measure.name);
    const anchor = byContender?.get("nginx")?.map((block) => block.value);
    for (const [contender, blocks] of byContender ?? []) {
      const values = blocks.map((block) => block.value);
      const scale = measure.workUnit === "GB" ? 1 : 1e6;
      const cpu = spread(blocks.map((block) => (block.cpuSeconds / block.work) * scale)).median;
      const p99 = blocks.map((block) => block.p99Us).filter((value) => value !== undefined);
      lines.push({
        name: measure.name,
        contender,
        unit: measure.unit,
        ...spread(values),
        ratioToNginx: anchor === undefined ? undefined : pairedRatios(values, anchor),
        cpuPerUnit: contender === "direct" ? undefined : cpu,
        p99Us: p99.length === 0 ? undefined : spread(p99).median,
        errors: blocks.map((block) => block.errors).filter((text) => text !== ""),
      });
    }
  }
  return lines;
}

export function formatReport(
  measures: readonly Measure[],
  lines: readonly ReportLine[],
  memory: ReadonlyMap<string, number>,
): string {
  const out: string[] = [];
  for (const measure of measures) {
    out.push(`\n${measure.name} (${measure.unit}${measure.higherIsBetter ? "" : ", lower is better"})`);
    for (const line of lines.filter((candidate) => candidate.name === measure.name)) {
      const ratio = line.ratioToNginx;
      out.push(
        [
          `  ${line.contender.padEnd(10)}`,
          `${figure(line.median)} [${figure(line.min)}..${figure(line.max)}]`.padEnd(28),
          ratio === undefined
            ? ""
            : `${ratio.median.toFixed(2)} x nginx [${ratio.min.toFixed(2)}..${ratio.max.toFixed(2)}]`.padEnd(30),
          line.cpuPerUnit === undefined
            ? ""
            : measure.workUnit === "GB"
              ? `CPU ${line.cpuPerUnit.toFixed(2)} s/GB`
              : `CPU ${line.cpuPerUnit.toFixed(0)} µs/${measure.workUnit}`,
          line.p99Us === undefined ? "" : `  p99 ${figure(line.p99Us)} µs`,
          line.errors.length === 0 ? "" : `  ${line.errors[0]}`,
        ]
          .join(" ")
          .trimEnd(),
      );
    }
  }
  out.push("\nresident memory of the pair (MiB)");
  for (const [contender, mebibytes] of memory) out.push(`  ${contender.padEnd(10)} ${mebibytes.toFixed(0)}`);
  return `${out.join("\n")}\n`;
}

/** Three significant digits. */
function figure(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString("en-US").replaceAll(",", " ") : value.toPrecision(3);
}
