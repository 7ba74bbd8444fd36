// What is measured: each a function of where the contender listens, giving one figure and the work done for it.
import type { Target } from "./contender.ts";
import { runIn } from "./processes.ts";

export interface Sample {
  /** In the measure's unit. */
  readonly value: number;
  /** Units of work: gigabytes, requests or connections. CPU per unit is CPU seconds divided by this. */
  readonly work: number;
  /** 99th percentile of latency in microseconds, where the load generator reports it. */
  readonly p99Us?: number;
  readonly errors: string;
}

export interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly workUnit: "GB" | "request" | "connection";
  readonly higherIsBetter: boolean;
  run(target: Target, seconds: number): Sample;
}

export const measures: readonly Measure[] = [
  bulk("bulk-1-up", "bulk, 1 stream, client to server", 1, false),
  bulk("bulk-1-down", "bulk, 1 stream, server to client", 1, true),
  bulk("bulk-8-up", "bulk, 8 streams", 8, false),
  http("http-1-p50", 1, false),
  http("http-32-rate", 32, false),
  http("new-connection-rate", 16, true),
];

function bulk(name: string, _title: string, streams: number, reverse: boolean): Measure {
  return {
    name,
    unit: "Gbit/s",
    workUnit: "GB",
    higherIsBetter: true,
    run(target, seconds) {
      const args = [
        "-c",
        target.bulk.host,
        "-p",
        String(target.bulk.port),
        "-t",
        String(seconds),
        "-P",
        String(streams),
        "-J",
        "-l",
        "128K",
      ];
      const report = JSON.parse(runIn(target.clientNetns, "iperf3", reverse ? [...args, "-R"] : args, (seconds + 30) * 1000)) as {
        error?: string;
        end: { sum_received?: { bits_per_second: number; bytes: number } };
      };
      if (report.end.sum_received === undefined)
        throw new Error(`iperf3 has measured nothing: ${report.error ?? "no reason given"}`);
      const { bits_per_second, bytes } = report.end.sum_received;
      return { value: bits_per_second / 1e9, work: bytes / 1e9, errors: "" };
    },
  };
}

function http(name: string, connections: number, close: boolean): Measure {
  const latency = connections === 1;
  return {
    name,
    unit: latency ? "µs" : "per second",
    workUnit: close ? "connection" : "request",
    higherIsBetter: !latency,
    run(target, seconds) {
      const headers = close ? ["-H", "Connection: close"] : [];
      const args = ["-t1", `-c${connections}`, `-d${seconds}`, "--latency", ...headers, target.httpUrl];
      return parseWrk(runIn(target.clientNetns, "wrk", args, (seconds + 30) * 1000), latency);
    },
  };
}

const MICROSECONDS: Readonly<Record<string, number>> = { us: 1, ms: 1e3, s: 1e6 };

export function parseWrk(output: string, latency: boolean): Sample {
  const percentile = (which: string): number => {
    const match = new RegExp(`${which}%\\s+([\\d.]+)(us|ms|s)`).exec(output);
    return match === null ? Number.NaN : Number(match[1]) * (MICROSECONDS[match[2] ?? ""] ?? Number.NaN);
  };
  const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
  const requests = Number(/(\d+) requests in/.exec(output)?.[1]);
  if (Number.isNaN(rate) || Number.isNaN(requests) || requests === 0) throw new Error(`wrk made no requests:\n${output}`);
  const errors = [/Socket errors:.*/.exec(output)?.[0], /Non-2xx.*/.exec(output)?.[0]]
    .filter((line) => line !== undefined)
    .join("; ");
  return { value: latency ? percentile("50") : rate, work: requests, p99Us: percentile("99"), errors };
}
