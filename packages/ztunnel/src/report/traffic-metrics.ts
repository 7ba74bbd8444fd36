// The metrics of traffic: names and labels that dashboards know. @source ztunnel src/proxy/metrics.rs
import type { ResponseFlag } from "@ambit/core";
import type { CounterSeries, MetricsRegistry } from "@ambit/runtime";
import type { ConnectionLabels, Party } from "../worker-messages.ts";

export const TRAFFIC_LABELS = [
  "reporter",
  "source_workload",
  "source_canonical_service",
  "source_canonical_revision",
  "source_workload_namespace",
  "source_principal",
  "source_app",
  "source_version",
  "source_cluster",
  "destination_service",
  "destination_service_namespace",
  "destination_service_name",
  "destination_workload",
  "destination_canonical_service",
  "destination_canonical_revision",
  "destination_workload_namespace",
  "destination_principal",
  "destination_app",
  "destination_version",
  "destination_cluster",
  "request_protocol",
  "response_flags",
  "connection_security_policy",
  "source_region",
  "source_zone",
  "destination_region",
  "destination_zone",
] as const;

type TrafficLabel = (typeof TRAFFIC_LABELS)[number];
/** The eight that name the client's side. */
const SOURCE_LABELS = [
  "source_workload",
  "source_canonical_service",
  "source_canonical_revision",
  "source_workload_namespace",
  "source_principal",
  "source_app",
  "source_version",
  "source_cluster",
] as const satisfies readonly TrafficLabel[];
type SourceLabel = (typeof SOURCE_LABELS)[number];
const UNKNOWN = "unknown";

/** The series of one set of labels and one way of ending. */
export interface ClosedSeries {
  readonly closed: CounterSeries;
  readonly received: CounterSeries;
  readonly sent: CounterSeries;
  readonly failed: CounterSeries | undefined;
}

export type TrafficMetrics = ReturnType<typeof createTrafficMetrics>;

export function createTrafficMetrics(registry: MetricsRegistry) {
  const counter = (name: string, help: string) => registry.counter({ name, help, labels: TRAFFIC_LABELS });
  const opened = counter("istio_tcp_connections_opened_total", "The total number of TCP connections opened.");
  const closed = counter("istio_tcp_connections_closed_total", "The total number of TCP connections closed.");
  const failed = counter(
    "istio_tcp_connections_failed_total",
    "The total number of TCP connections that failed to establish (unstable).",
  );
  const received = counter(
    "istio_tcp_received_bytes_total",
    "The size of total bytes received during request in case of a TCP connection.",
  );
  const sent = counter("istio_tcp_sent_bytes_total", "The size of total bytes sent during response in case of a TCP connection.");
  const onDemandDns = registry.counter({
    name: "istio_on_demand_dns_total",
    help: "The total number of requests that used on-demand DNS (unstable).",
    labels: [...SOURCE_LABELS, "hostname"],
  });
  return {
    opened: (labels: ConnectionLabels): CounterSeries => opened.series(trafficLabels(labels, "-")),
    closed(labels: ConnectionLabels, flag: ResponseFlag): ClosedSeries {
      const values = trafficLabels(labels, flag);
      return {
        closed: closed.series(values),
        received: received.series(values),
        sent: sent.series(values),
        failed: flag === "-" ? undefined : failed.series(values),
      };
    },
    onDemandDns(labels: ConnectionLabels, hostname: string): void {
      const all = trafficLabels(labels, "-");
      const source = Object.fromEntries(SOURCE_LABELS.map((label) => [label, all[label]])) as Record<SourceLabel, string>;
      onDemandDns.inc({ ...source, hostname });
    },
  };
}

function trafficLabels(labels: ConnectionLabels, flag: ResponseFlag): Readonly<Record<TrafficLabel, string>> {
  const { direction, source, destination, service, isMutualTls } = labels;
  return {
    reporter: direction === "outbound" ? "source" : "destination",
    source_workload: source.workloadName ?? UNKNOWN,
    source_canonical_service: source.canonicalName ?? UNKNOWN,
    source_canonical_revision: source.canonicalRevision ?? UNKNOWN,
    source_workload_namespace: source.namespace ?? UNKNOWN,
    source_principal: source.principal ?? UNKNOWN,
    source_app: source.canonicalName ?? UNKNOWN,
    source_version: source.canonicalRevision ?? UNKNOWN,
    source_cluster: source.cluster ?? UNKNOWN,
    destination_service: service?.hostname ?? UNKNOWN,
    destination_service_namespace: service?.namespace ?? UNKNOWN,
    destination_service_name: service?.name ?? UNKNOWN,
    destination_workload: destination.workloadName ?? UNKNOWN,
    destination_canonical_service: destination.canonicalName ?? UNKNOWN,
    destination_canonical_revision: destination.canonicalRevision ?? UNKNOWN,
    destination_workload_namespace: destination.namespace ?? UNKNOWN,
    destination_principal: destination.principal ?? UNKNOWN,
    destination_app: destination.canonicalName ?? UNKNOWN,
    destination_version: destination.canonicalRevision ?? UNKNOWN,
    destination_cluster: destination.cluster ?? UNKNOWN,
    request_protocol: "tcp",
    response_flags: flag,
    connection_security_policy: isMutualTls ? "mutual_tls" : UNKNOWN,
    ...localityLabels(source, destination),
  };
}

function localityLabels(source: Party, destination: Party) {
  return {
    source_region: source.region ?? UNKNOWN,
    source_zone: source.zone ?? UNKNOWN,
    destination_region: destination.region ?? UNKNOWN,
    destination_zone: destination.zone ?? UNKNOWN,
  };
}
