// What the workers tell of their connections, turned into metrics, access lines and the list of open ones.
import type { Logger, MeshError, PodUid, ResponseFlag } from "@ambit/core";
import type { CounterSeries } from "@ambit/runtime";
import type { ConnectionLabels, ToMain } from "../worker-messages.ts";
import { closedFields, type LineFacts, openedFields } from "./access-line.ts";
import type { ClosedSeries, TrafficMetrics } from "./traffic-metrics.ts";

/** Labels with the series that were looked up for them. */
interface LabelSet {
  readonly labels: ConnectionLabels;
  readonly opened: CounterSeries;
  readonly closed: Map<ResponseFlag, ClosedSeries>;
}

export interface OpenReport extends LineFacts {
  readonly pod: PodUid;
  readonly startedMs: number;
  readonly dialled: string | undefined;
}

interface OpenRecord extends OpenReport {
  readonly set: LabelSet;
}

type Opened = Extract<ToMain, { kind: "opened" }>;
type Closed = Extract<ToMain, { kind: "closed" }>;
type Failed = Extract<ToMain, { kind: "failed" }>;

/** Records of each worker are kept until it closes them, or dies. */
export class ConnectionReports {
  readonly #metrics: TrafficMetrics;
  readonly #access: Logger;
  readonly #workers = new Map<number, { readonly sets: Map<number, LabelSet>; readonly open: Map<number, OpenRecord> }>();

  constructor(metrics: TrafficMetrics, access: Logger) {
    this.#metrics = metrics;
    this.#access = access;
  }

  get open(): number {
    let total = 0;
    for (const { open } of this.#workers.values()) total += open.size;
    return total;
  }

  *list(): Generator<OpenReport> {
    for (const { open } of this.#workers.values()) yield* open.values();
  }

  labels(worker: number, number: number, labels: ConnectionLabels): void {
    this.#of(worker).sets.set(number, { labels, opened: this.#metrics.opened(labels), closed: new Map() });
  }

  opened(worker: number, report: Opened): void {
    const { sets, open } = this.#of(worker);
    const set = sets.get(report.labels);
    if (set === undefined) throw new RangeError(`Worker ${worker} named label set ${report.labels}, which it has not sent`);
    const { pod, source, destination, dialled, hboneTarget, startedMs } = report;
    const record: OpenRecord = { set, labels: set.labels, pod, source, destination, dialled, hboneTarget, startedMs };
    open.set(report.id, record);
    set.opened.inc();
    this.#access.debug("connection opened", openedFields(record));
  }

  closed(worker: number, report: Closed): void {
    const { open } = this.#of(worker);
    const record = open.get(report.id);
    if (record === undefined) return;
    open.delete(report.id);
    this.#finish(record, report);
  }

  failed({ direction, source, destination, error }: Failed): void {
    this.#access.warn("connection failed", {
      ...openedFields({
        labels: { direction, source: {}, destination: {}, service: undefined, isMutualTls: false },
        source,
        destination,
        hboneTarget: undefined,
      }),
      error,
    });
  }

  /** Its connections ended with it; how much they had carried is not known. */
  workerDied(worker: number, error: MeshError, nowMs: number): void {
    const { open, sets } = this.#of(worker);
    for (const record of open.values()) {
      const durationMs = nowMs - record.startedMs;
      this.#finish(record, { flag: "-", error: error.message, receivedBytes: 0, sentBytes: 0, durationMs });
    }
    open.clear();
    sets.clear();
  }

  #finish(record: OpenRecord, end: Omit<Closed, "kind" | "id">): void {
    const { set } = record;
    let series = set.closed.get(end.flag);
    if (series === undefined) {
      series = this.#metrics.closed(set.labels, end.flag);
      set.closed.set(end.flag, series);
    }
    series.closed.inc();
    series.received.inc(end.receivedBytes);
    series.sent.inc(end.sentBytes);
    series.failed?.inc();
    const fields = closedFields(record, end);
    if (end.error === undefined) this.#access.info("connection complete", fields);
    else this.#access.error("connection complete", fields);
  }

  #of(worker: number) {
    let state = this.#workers.get(worker);
    if (state === undefined) {
      state = { sets: new Map(), open: new Map() };
      this.#workers.set(worker, state);
    }
    return state;
  }
}
