// docs/metrics.md from the metrics that the processes register.
import { silentLogger } from "@ambit/core";
import { MetricsRegistry } from "@ambit/runtime";
import { createAgentMetrics } from "../packages/cni-plugin/src/agent/metrics.ts";
import { addIstiodGauges, createIstiodMetrics } from "../packages/istiod-lite/src/metrics.ts";
import { createDnsReporter } from "../packages/ztunnel/src/report/dns-reports.ts";
import { addProcessGauges, createDiscoveryMetrics, createPodMetrics } from "../packages/ztunnel/src/report/process-metrics.ts";
import { createTrafficMetrics } from "../packages/ztunnel/src/report/traffic-metrics.ts";

const PROCESSES: readonly { readonly title: string; readonly port: string; register(registry: MetricsRegistry): void }[] = [
  {
    title: "ztunnel",
    port: "15020, `/metrics` and `/stats/prometheus`",
    register(registry) {
      createTrafficMetrics(registry);
      createDnsReporter(registry, silentLogger);
      createDiscoveryMetrics(registry);
      createPodMetrics(registry);
      addProcessGauges(registry, {
        version: "",
        sockets: () => 0,
        activePods: () => 0,
        pendingPods: () => 0,
        connectedToDiscovery: () => false,
        workerRestarts: () => 0,
      });
    },
  },
  {
    title: "istiod-lite",
    port: "15014, `/metrics`",
    register(registry) {
      createIstiodMetrics(registry);
      addIstiodGauges(registry, {
        version: "",
        proxies: () => 0,
        resources: () => 0,
        refusedObjects: () => 0,
        ineffectiveObjects: () => 0,
        expiries: () => ({ rootMs: 0, chainMs: 0 }),
      });
    },
  },
  {
    title: "node agent",
    port: "15014, `/metrics`",
    register(registry) {
      registry.addProcessMetrics();
      createAgentMetrics(registry);
    },
  },
];

/** The document's text: one section per process, one row per metric. */
export function metricDocs(): string {
  const lines = [
    "# Metrics",
    "",
    "Generated from what the processes register by `npm run docs`; a test compares. Traffic labels that are not known have the value `unknown`, never an empty one.",
  ];
  for (const { title, port, register } of PROCESSES) {
    const registry = new MetricsRegistry();
    register(registry);
    lines.push("", `## ${title}`, `Port ${port}.`, "", "| Metric | Labels | Meaning |", "|---|---|---|");
    for (const { name, help, labels } of registry.describe().toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      lines.push(`| \`${name}\` | ${labels.join(", ")} | ${help} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}
