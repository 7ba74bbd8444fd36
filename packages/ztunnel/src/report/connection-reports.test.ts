import assert from "node:assert/strict";
import { test } from "node:test";
import { MeshError, type PodUid } from "@ambit/core";
import { LogOutput, MetricsRegistry, parseLogFilter } from "@ambit/runtime";
import type { ConnectionLabels, ToMain } from "../worker-messages.ts";
import { ConnectionReports } from "./connection-reports.ts";
import { createTrafficMetrics } from "./traffic-metrics.ts";

const LABELS: ConnectionLabels = {
  direction: "outbound",
  source: {
    workload: "productpage-v1-6bbcf",
    workloadName: "productpage-v1",
    namespace: "bookinfo",
    canonicalName: "productpage",
    canonicalRevision: "v1",
    cluster: "Kubernetes",
    principal: "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage",
  },
  destination: {
    workloadName: "reviews-v1",
    namespace: "bookinfo",
    canonicalName: "reviews",
    canonicalRevision: "v1",
    cluster: "Kubernetes",
    principal: "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews",
  },
  service: { hostname: "reviews.bookinfo.svc.cluster.local", name: "reviews", namespace: "bookinfo" },
  isMutualTls: true,
};

function setUp() {
  const lines: string[] = [];
  const filter = parseLogFilter("debug");
  assert.ok(filter !== undefined);
  const output = new LogOutput("text", filter, (text) => lines.push(text));
  const registry = new MetricsRegistry();
  const reports = new ConnectionReports(createTrafficMetrics(registry), output.logger("access"));
  const log = () => {
    output.flush();
    return lines.join("");
  };
  const count = (text: string) => log().split(text).length - 1;
  return { reports, registry, log, count };
}

function opened(id: number, labels = 0): Extract<ToMain, { kind: "opened" }> {
  return {
    kind: "opened",
    id,
    labels,
    pod: "uid" as PodUid,
    source: "10.0.0.1:1",
    destination: "10.0.0.2:15008",
    dialled: "10.96.0.1:80",
    hboneTarget: "10.0.0.2:80",
    traceId: undefined,
    startedMs: 1_000,
  };
}

function closed(id: number): Extract<ToMain, { kind: "closed" }> {
  return { kind: "closed", id, flag: "-", error: undefined, receivedBytes: 79, sentBytes: 1174, durationMs: 3 };
}

test("ConnectionReports counts a connection with the labels of the field, in their order", async () => {
  const { reports, registry } = setUp();
  reports.labels(0, 0, LABELS);
  reports.opened(0, opened(1));
  reports.closed(0, closed(1));
  const labels =
    'reporter="source",source_workload="productpage-v1",source_canonical_service="productpage",source_canonical_revision="v1",source_workload_namespace="bookinfo",source_principal="spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage",source_app="productpage",source_version="v1",source_cluster="Kubernetes",destination_service="reviews.bookinfo.svc.cluster.local",destination_service_namespace="bookinfo",destination_service_name="reviews",destination_workload="reviews-v1",destination_canonical_service="reviews",destination_canonical_revision="v1",destination_workload_namespace="bookinfo",destination_principal="spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews",destination_app="reviews",destination_version="v1",destination_cluster="Kubernetes",request_protocol="tcp",response_flags="-",connection_security_policy="mutual_tls",source_region="unknown",source_zone="unknown",destination_region="unknown",destination_zone="unknown"';
  const text = await registry.text();
  for (const [name, value] of [
    ["connections_opened", 1],
    ["connections_closed", 1],
    ["received_bytes", 79],
    ["sent_bytes", 1174],
  ] as const) {
    assert.ok(text.includes(`\nistio_tcp_${name}_total{${labels}} ${value}\n`), `${name}\n${text}`);
  }
  assert.doesNotMatch(text, /istio_tcp_connections_failed_total\{/);
});

test("ConnectionReports prints unknown for everything that nobody knows", async () => {
  const { reports, registry } = setUp();
  reports.labels(0, 0, { direction: "inbound", source: {}, destination: {}, service: undefined, isMutualTls: false });
  reports.opened(0, opened(1));
  reports.closed(0, { ...closed(1), flag: "CONNECT", error: "io error: Connection refused (os error 111)" });
  const series = /istio_tcp_connections_failed_total\{(.*)\} 1\n/.exec(await registry.text())?.[1] ?? "";
  const values = series.split(",").map((each) => each.split("=")[1]);
  assert.equal(values.length, 27);
  assert.deepEqual(new Set(values), new Set(['"destination"', '"unknown"', '"tcp"', '"CONNECT"']));
});

test("ConnectionReports closes a record exactly once, whoever comes first", async () => {
  const { reports, registry, count } = setUp();
  reports.labels(0, 0, LABELS);
  reports.opened(0, opened(1));
  assert.equal(reports.open, 1);
  reports.closed(0, closed(1));
  reports.closed(0, closed(1));
  reports.workerDied(0, new MeshError("ENGINE_WORKER_DIED", "died"), 2_000);
  reports.closed(0, closed(1));
  assert.equal(reports.open, 0);
  assert.equal(count("connection complete"), 1);
  assert.match(await registry.text(), /istio_tcp_connections_closed_total\{.*\} 1\n/);
});

test("ConnectionReports.workerDied() closes what the worker had open, once, and nothing of others", async () => {
  const { reports, registry, log, count } = setUp();
  for (const worker of [0, 1]) {
    reports.labels(worker, 0, LABELS);
    for (const id of [1, 2, 3]) reports.opened(worker, opened(id));
  }
  reports.closed(0, closed(2));
  reports.workerDied(0, new MeshError("ENGINE_WORKER_DIED", "Data-plane worker 0 died: out of memory"), 4_000);
  reports.workerDied(0, new MeshError("ENGINE_WORKER_DIED", "Data-plane worker 0 died: out of memory"), 4_000);
  assert.equal(reports.open, 3);
  assert.equal(count("connection complete"), 3);
  assert.equal(count('duration="3000ms" error="Data-plane worker 0 died: out of memory"'), 2);
  assert.match(log(), /\terror\taccess\tconnection complete/);
  const total = [...(await registry.text()).matchAll(/istio_tcp_connections_closed_total\{.*\} (\d+)\n/g)];
  assert.equal(
    total.reduce((sum, [, value]) => sum + Number(value), 0),
    3,
  );
});

test("ConnectionReports takes the numbers of a worker's successor for new ones", async () => {
  const { reports, registry } = setUp();
  reports.labels(0, 0, LABELS);
  reports.opened(0, opened(1));
  reports.workerDied(0, new MeshError("ENGINE_WORKER_DIED", "died"), 2_000);
  assert.throws(() => reports.opened(0, opened(1)), RangeError);
  reports.labels(0, 0, { ...LABELS, direction: "inbound" });
  reports.opened(0, opened(1));
  assert.equal([...reports.list()][0]?.labels.direction, "inbound");
  assert.match(await registry.text(), /istio_tcp_connections_opened_total\{reporter="destination".*\} 1\n/);
});

test("ConnectionReports logs what was turned away by address only", async () => {
  const { reports, log, registry } = setUp();
  reports.failed({
    kind: "failed",
    direction: "inbound",
    source: "10.0.0.1:1",
    destination: "10.0.0.2:15008",
    error: "no certificate",
  });
  assert.match(
    log(),
    /\twarn\taccess\tconnection failed\tsrc\.addr=10\.0\.0\.1:1 dst\.addr=10\.0\.0\.2:15008 direction="inbound" error="no certificate"\n/,
  );
  assert.doesNotMatch(await registry.text(), /istio_tcp_connections_\w+\{/);
});

test("ConnectionReports lists what is open also when the first worker has told nothing yet", () => {
  const { reports } = setUp();
  reports.labels(1, 0, LABELS);
  reports.opened(1, opened(1));
  assert.deepEqual(
    [...reports.list()].map(({ source }) => source),
    ["10.0.0.1:1"],
  );
});
