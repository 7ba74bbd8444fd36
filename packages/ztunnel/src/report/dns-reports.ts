// DNS questions in metrics and log lines. @source ztunnel src/dns/metrics.rs
import type { LogFields, Logger } from "@ambit/core";
import type { MetricsRegistry } from "@ambit/runtime";
import type { DnsReport, LocalPod } from "../worker-messages.ts";

const LABELS = ["request_query_type", "request_protocol", "source_canonical_service", "source_canonical_revision"] as const;
const UNKNOWN = "unknown";

export type DnsReporter = (report: DnsReport, pod: LocalPod | undefined) => void;

export function createDnsReporter(registry: MetricsRegistry, logger: Logger): DnsReporter {
  const requests = registry.counter({
    name: "istio_dns_requests_total",
    help: "Total number of DNS requests.",
    labels: LABELS,
  });
  const upstreamRequests = registry.counter({
    name: "istio_dns_upstream_requests_total",
    help: "Total number of DNS requests forwarded to upstream.",
    labels: LABELS,
  });
  const upstreamFailures = registry.counter({
    name: "istio_dns_upstream_failures_total",
    help: "Total number of DNS requests forwarded to upstream that failed.",
    labels: LABELS,
  });
  const upstreamDuration = registry.histogram({
    name: "istio_dns_upstream_request_duration_seconds",
    help: "Total time in seconds Istio takes to get DNS response from upstream.",
    labels: LABELS,
    buckets: [0.0005, 0.001, 0.01, 0.1, 1, 5],
  });
  return (report, pod) => {
    const labels = {
      request_query_type: report.queryType,
      request_protocol: report.protocol,
      source_canonical_service: report.canonicalService ?? UNKNOWN,
      source_canonical_revision: report.canonicalRevision ?? UNKNOWN,
    };
    requests.inc(labels);
    if (report.upstream !== undefined) {
      upstreamRequests.inc(labels);
      if (report.upstream.failed) upstreamFailures.inc(labels);
      upstreamDuration.observe(labels, report.upstream.durationMs / 1_000);
    }
    const fields: LogFields = {
      "src.workload": pod?.name,
      "src.namespace": pod?.namespace,
      query: report.queryType,
      domain: report.domain,
      result: report.result,
    };
    logger.debug("dns request", fields);
  };
}
