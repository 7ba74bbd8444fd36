import assert from "node:assert/strict";
import { test } from "node:test";
import { edgesOf } from "./edges.ts";
import type { MetricSample } from "./metrics-text.ts";

function sample(name: string, reporter: string, value: number, labels: Record<string, string> = {}): MetricSample {
  const common = {
    reporter,
    source_workload: "productpage",
    source_workload_namespace: "bookinfo",
    destination_workload: "reviews",
    destination_workload_namespace: "bookinfo",
    destination_service_name: "reviews",
    connection_security_policy: "mutual_tls",
    response_flags: "-",
  };
  return { name, labels: { ...common, ...labels }, value };
}

test("edgesOf() counts a connection once when both proxies report it", () => {
  const edges = edgesOf([
    sample("istio_tcp_connections_opened_total", "source", 3),
    sample("istio_tcp_connections_opened_total", "destination", 3),
    sample("istio_tcp_received_bytes_total", "destination", 100),
  ]);
  assert.equal(edges.length, 1);
  assert.equal(edges[0]?.opened, 3);
  assert.equal(edges[0]?.bytesReceived, 100);
  assert.equal(edges[0]?.encrypted, true);
});

test("edgesOf() keeps plaintext apart and counts denials", () => {
  const plain = { connection_security_policy: "unknown", response_flags: "DENY" };
  const edges = edgesOf([
    sample("istio_tcp_connections_opened_total", "destination", 1),
    sample("istio_tcp_connections_failed_total", "destination", 2, plain),
  ]);
  assert.deepEqual(
    edges.map((edge) => [edge.encrypted, edge.denied]),
    [
      [true, 0],
      [false, 2],
    ],
  );
});
