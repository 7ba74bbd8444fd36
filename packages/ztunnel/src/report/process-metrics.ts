// The proxy's metrics besides traffic: pods, discovery, sockets, build.
import { readFileSync } from "node:fs";
import type { DiscoveryMetrics } from "@ambit/discovery";
import type { MetricsRegistry } from "@ambit/runtime";

export interface ProcessFacts {
  readonly version: string;
  sockets(direction: "inbound" | "outbound"): number;
  activePods(): number;
  pendingPods(): number;
  connectedToDiscovery(): boolean;
  workerRestarts(): number;
}

export interface PodMetrics {
  started(): void;
  stopped(): void;
}

export function createPodMetrics(registry: MetricsRegistry): PodMetrics {
  const counter = (name: string, help: string) => registry.counter({ name, help, labels: [] }).series({});
  const started = counter("workload_manager_proxies_started_total", "The total number of proxies that were started.");
  const stopped = counter("workload_manager_proxies_stopped_total", "The total number of proxies that were stopped.");
  return { started: () => started.inc(), stopped: () => stopped.inc() };
}

export function createDiscoveryMetrics(registry: MetricsRegistry): DiscoveryMetrics {
  return {
    terminations: registry.counter({
      name: "istio_xds_connection_terminations_total",
      help: "The total number of completed connections to xds server (unstable).",
      labels: ["reason"],
    }),
    messages: registry.counter({
      name: "istio_xds_message_total",
      help: "Total number of messages received (unstable).",
      labels: ["url"],
    }),
    messageBytes: registry.counter({
      name: "istio_xds_message_bytes_total",
      help: "Total number of bytes received (unstable).",
      labels: ["url"],
    }),
  };
}

export function addProcessGauges(registry: MetricsRegistry, facts: ProcessFacts): void {
  const gauge = (name: string, help: string, read: () => number) =>
    registry.observedGauge({ name, help, labels: [] }, () => [{ labels: {}, value: read() }]);
  registry.addProcessMetrics();
  registry
    .gauge({ name: "istio_build", help: "Istio component build info.", labels: ["component", "tag"] })
    .set({ component: "ztunnel", tag: facts.version }, 1);
  registry.observedGauge(
    { name: "istio_tcp_sockets_open", help: "The current number of open TCP sockets (unstable).", labels: ["reporter"] },
    () => [
      { labels: { reporter: "source" }, value: facts.sockets("outbound") },
      { labels: { reporter: "destination" }, value: facts.sockets("inbound") },
    ],
  );
  registry.observedGauge(
    {
      name: "envoy_cluster_upstream_cx_active",
      help: "Connections to the control plane, by the name that dashboards look for.",
      labels: ["cluster_name"],
    },
    () => [{ labels: { cluster_name: "xds-grpc" }, value: facts.connectedToDiscovery() ? 1 : 0 }],
  );
  gauge("workload_manager_active_proxy_count", "The total number of active proxies.", facts.activePods);
  gauge("workload_manager_pending_proxy_count", "The total number of pending proxies.", facts.pendingPods);
  gauge("ambit_worker_restarts", "Data-plane threads that died and were replaced since start.", facts.workerRestarts);
}

/** Version of this program, as `version` and `istio_build` give it. */
export function ownVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "unknown";
}
