// Who talks to whom: the node proxies' connection counters, summed into edges.
import type { MetricSample } from "./metrics-text.ts";

export interface Edge {
  readonly source: string;
  readonly sourceNamespace: string;
  readonly destination: string;
  readonly destinationNamespace: string;
  readonly service: string;
  readonly encrypted: boolean;
  readonly sourceIdentity: string;
  readonly destinationIdentity: string;
  readonly opened: number;
  readonly denied: number;
  readonly failed: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

type Totals = { -readonly [K in keyof Edge]: Edge[K] };

/**
 * One edge per pair of workloads, service and security policy. Where both proxies report a connection the destination's
 * report counts; the source's is used for destinations that report nothing (outside the mesh, refused before arrival).
 */
export function edgesOf(samples: readonly MetricSample[]): Edge[] {
  const bySide = { source: new Map<string, Totals>(), destination: new Map<string, Totals>() };
  for (const { name, labels, value } of samples) {
    const reporter = labels["reporter"];
    if ((reporter !== "source" && reporter !== "destination") || !name.startsWith("istio_tcp_")) continue;
    add(totalsOf(bySide[reporter], labels), name, labels, value);
  }
  const edges = new Map<string, Edge>(bySide.destination);
  for (const [key, edge] of bySide.source) if (!edges.has(key)) edges.set(key, edge);
  return [...edges.values()].sort(
    (a, b) =>
      compare(a.sourceNamespace, b.sourceNamespace) || compare(a.source, b.source) || compare(a.destination, b.destination),
  );
}

function totalsOf(side: Map<string, Totals>, labels: Readonly<Record<string, string>>): Totals {
  const encrypted = labels["connection_security_policy"] === "mutual_tls";
  const of = (label: string) => labels[label] ?? "unknown";
  const key = [
    of("source_workload_namespace"),
    of("source_workload"),
    of("destination_workload_namespace"),
    of("destination_workload"),
    encrypted,
  ].join("|");
  let totals = side.get(key);
  if (totals === undefined) {
    totals = {
      source: of("source_workload"),
      sourceNamespace: of("source_workload_namespace"),
      destination: of("destination_workload"),
      destinationNamespace: of("destination_workload_namespace"),
      service: of("destination_service_name"),
      encrypted,
      sourceIdentity: of("source_principal"),
      destinationIdentity: of("destination_principal"),
      opened: 0,
      denied: 0,
      failed: 0,
      bytesReceived: 0,
      bytesSent: 0,
    };
    side.set(key, totals);
  }
  if (totals.service === "unknown") totals.service = of("destination_service_name");
  return totals;
}

function add(totals: Totals, name: string, labels: Readonly<Record<string, string>>, value: number): void {
  switch (name) {
    case "istio_tcp_connections_opened_total":
      totals.opened += value;
      break;
    case "istio_tcp_connections_failed_total":
      totals.failed += value;
      if (labels["response_flags"] === "DENY") totals.denied += value;
      break;
    case "istio_tcp_received_bytes_total":
      totals.bytesReceived += value;
      break;
    case "istio_tcp_sent_bytes_total":
      totals.bytesSent += value;
      break;
    default:
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
