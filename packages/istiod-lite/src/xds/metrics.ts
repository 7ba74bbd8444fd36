// Metrics of discovery, by istiod's names.
import type { Counter, Histogram } from "@ambit/core";
import type { MetricsRegistry } from "@ambit/runtime";

export interface DiscoveryMetrics {
  readonly pushes: Counter<"type">;
  readonly rejects: Counter<"type">;
  readonly convergence: Histogram<never>;
}

export function createDiscoveryMetrics(registry: MetricsRegistry): DiscoveryMetrics {
  return {
    pushes: registry.counter({ name: "pilot_xds_pushes", help: "Responses put together for proxies.", labels: ["type"] }),
    rejects: registry.counter({
      name: "pilot_total_xds_rejects",
      help: "Responses in which a proxy refused at least one resource.",
      labels: ["type"],
    }),
    convergence: registry.histogram<never>({
      name: "pilot_proxy_convergence_time",
      help: "Seconds between a change and its being handed to a proxy's connection.",
      labels: [],
      buckets: [0.01, 0.1, 0.5, 1, 3, 5, 10, 20, 30],
    }),
  };
}
