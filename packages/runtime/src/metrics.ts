// The metrics registry: prom-client, in the classic text format, with handles for series that are counted per connection.
import type { Counter, Gauge, Histogram } from "@ambit/core";
import * as prom from "prom-client";

export interface MetricSpec<Labels extends string> {
  /** Exactly as it is exposed; nothing is appended. */
  readonly name: string;
  readonly help: string;
  readonly labels: readonly Labels[];
}

export interface HistogramSpec<Labels extends string> extends MetricSpec<Labels> {
  readonly buckets: readonly number[];
}

/** A counter whose label values were looked up once. */
export interface CounterSeries {
  inc(by?: number): void;
}

export class MetricsRegistry {
  readonly #registry = new prom.Registry();

  /** Adds what is known of the process itself: CPU, memory, start time, descriptors. */
  addProcessMetrics(): void {
    prom.collectDefaultMetrics({ register: this.#registry });
    for (const metric of this.#registry.getMetricsAsArray()) {
      if (metric.name.startsWith("nodejs_")) this.#registry.removeSingleMetric(metric.name);
    }
  }

  counter<Labels extends string>(
    spec: MetricSpec<Labels>,
  ): Counter<Labels> & { series(labels: Readonly<Record<Labels, string>>): CounterSeries } {
    const counter = new prom.Counter<string>({
      name: spec.name,
      help: spec.help,
      labelNames: [...spec.labels],
      registers: [this.#registry],
    });
    return {
      inc: (labels, by = 1) => counter.inc(labels as Record<string, string>, by),
      series: (labels) => counter.labels(labels as Record<string, string>),
    };
  }

  gauge<Labels extends string>(spec: MetricSpec<Labels>): Gauge<Labels> {
    const gauge = new prom.Gauge<string>({
      name: spec.name,
      help: spec.help,
      labelNames: [...spec.labels],
      registers: [this.#registry],
    });
    return { set: (labels, value) => gauge.set(labels as Record<string, string>, value) };
  }

  /** A gauge that is read when somebody asks for the metrics. */
  observedGauge<Labels extends string>(
    spec: MetricSpec<Labels>,
    read: () => readonly { labels: Readonly<Record<Labels, string>>; value: number }[],
  ): void {
    new prom.Gauge<string>({
      name: spec.name,
      help: spec.help,
      labelNames: [...spec.labels],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const { labels, value } of read()) this.set(labels as Record<string, string>, value);
      },
    });
  }

  histogram<Labels extends string>(spec: HistogramSpec<Labels>): Histogram<Labels> {
    const histogram = new prom.Histogram<string>({
      name: spec.name,
      help: spec.help,
      labelNames: [...spec.labels],
      buckets: [...spec.buckets],
      registers: [this.#registry],
    });
    return { observe: (labels, value) => histogram.observe(labels as Record<string, string>, value) };
  }

  /** Every metric that is registered, for the documentation. */
  describe(): readonly { name: string; help: string; labels: readonly string[] }[] {
    // The library keeps the label names on its metrics without declaring them.
    const metrics = this.#registry.getMetricsAsArray() as readonly {
      name: string;
      help: string;
      labelNames?: readonly string[];
    }[];
    return metrics.map(({ name, help, labelNames }) => ({ name, help, labels: labelNames ?? [] }));
  }

  /** The classic text format, version 0.0.4. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
