// Lines as a recorded ztunnel wrote them, with our time in front.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LogOutput, parseLogFilter } from "@ambit/runtime";
import type { ConnectionLabels, Party } from "../worker-messages.ts";
import { closedFields, type LineEnd, type LineFacts, openedFields } from "./access-line.ts";

const CLIENT: Party = { workload: "productpage-v1-6bbcf", namespace: "bookinfo", cluster: "Kubernetes" };
const SERVER: Party = { workload: "reviews-v1-77c4", namespace: "bookinfo", cluster: "Kubernetes" };
const PROVEN_CLIENT: Party = { ...CLIENT, identity: "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage" };
const PROVEN_SERVER: Party = { ...SERVER, identity: "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews" };
const REVIEWS = { hostname: "reviews.bookinfo.svc.cluster.local", name: "reviews", namespace: "bookinfo" };

/** Without the time; tabs between the first fields became spaces in the recording. */
function lineOf(facts: LineFacts, end: LineEnd): string {
  const lines: string[] = [];
  const filter = parseLogFilter("info");
  assert.ok(filter !== undefined);
  const output = new LogOutput("text", filter, (text) => lines.push(text));
  const level = end.error === undefined ? "info" : "error";
  output.emit(level, "access", "connection complete", closedFields(facts, end));
  output.flush();
  return lines.join("").trimEnd().split("\t").slice(1).join(" ");
}

function labels(direction: ConnectionLabels["direction"], source: Party, destination: Party, service?: typeof REVIEWS) {
  return { direction, source, destination, service, isMutualTls: source.identity !== undefined };
}

const DONE = { receivedBytes: 79, sentBytes: 1174, durationMs: 103, error: undefined };
const NOTHING = { receivedBytes: 0, sentBytes: 0, durationMs: 0 };

test("closedFields() gives the line of a service's connection at the client's side", () => {
  const facts = {
    labels: labels("outbound", PROVEN_CLIENT, PROVEN_SERVER, REVIEWS),
    source: "10.77.0.1:52870",
    destination: "10.77.0.2:15008",
    hboneTarget: "10.77.0.2:8080",
  };
  const common =
    'access connection complete src.addr=10.77.0.1:52870 src.workload="productpage-v1-6bbcf" src.namespace="bookinfo" src.identity="spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage" src.cluster="Kubernetes" dst.addr=10.77.0.2:15008 dst.hbone_addr=10.77.0.2:8080 dst.service="reviews.bookinfo.svc.cluster.local" dst.workload="reviews-v1-77c4" dst.namespace="bookinfo" dst.identity="spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews" dst.cluster="Kubernetes" direction="outbound"';
  assert.equal(lineOf(facts, DONE), `info ${common} bytes_sent=79 bytes_recv=1174 duration="103ms"`);
  assert.equal(
    lineOf(facts, { ...NOTHING, error: "http status: 401 Unauthorized" }),
    `error ${common} bytes_sent=0 bytes_recv=0 duration="0ms" error="http status: 401 Unauthorized"`,
  );
});

test("closedFields() gives the line of a destination that nobody knows", () => {
  const facts = {
    labels: labels("outbound", CLIENT, {}),
    source: "10.77.0.1:53488",
    destination: "10.77.0.9:80",
    hboneTarget: undefined,
  };
  assert.equal(
    lineOf(facts, { ...NOTHING, durationMs: 3058, error: "io error: No route to host (os error 113)" }),
    'error access connection complete src.addr=10.77.0.1:53488 src.workload="productpage-v1-6bbcf" src.namespace="bookinfo" src.cluster="Kubernetes" dst.addr=10.77.0.9:80 direction="outbound" bytes_sent=0 bytes_recv=0 duration="3058ms" error="io error: No route to host (os error 113)"',
  );
});

test("closedFields() counts bytes from the server's point of view at the server's side", () => {
  const facts = {
    labels: labels("inbound", PROVEN_CLIENT, PROVEN_SERVER),
    source: "10.77.0.1:51846",
    destination: "10.77.0.2:15008",
    hboneTarget: "10.77.0.2:8080",
  };
  assert.equal(
    lineOf(facts, { ...DONE, durationMs: 1 }),
    'info access connection complete src.addr=10.77.0.1:51846 src.workload="productpage-v1-6bbcf" src.namespace="bookinfo" src.identity="spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage" src.cluster="Kubernetes" dst.addr=10.77.0.2:15008 dst.hbone_addr=10.77.0.2:8080 dst.workload="reviews-v1-77c4" dst.namespace="bookinfo" dst.identity="spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews" dst.cluster="Kubernetes" direction="inbound" bytes_sent=1174 bytes_recv=79 duration="1ms"',
  );
});

test("closedFields() shows no identity on plaintext", () => {
  const facts = {
    labels: labels("inbound", CLIENT, SERVER),
    source: "10.77.0.1:50852",
    destination: "10.77.0.2:8080",
    hboneTarget: undefined,
  };
  assert.equal(
    lineOf(facts, { ...DONE, receivedBytes: 78, durationMs: 0 }),
    'info access connection complete src.addr=10.77.0.1:50852 src.workload="productpage-v1-6bbcf" src.namespace="bookinfo" src.cluster="Kubernetes" dst.addr=10.77.0.2:8080 dst.workload="reviews-v1-77c4" dst.namespace="bookinfo" dst.cluster="Kubernetes" direction="inbound" bytes_sent=1174 bytes_recv=78 duration="0ms"',
  );
});

test("openedFields() ends with the direction", () => {
  const facts = {
    labels: labels("outbound", CLIENT, {}),
    source: "10.77.0.1:1",
    destination: "10.77.0.9:80",
    hboneTarget: undefined,
  };
  const present = Object.entries(openedFields(facts)).filter(([, value]) => value !== undefined);
  assert.deepEqual(
    present.map(([name]) => name),
    ["src.addr", "src.workload", "src.namespace", "src.cluster", "dst.addr", "direction"],
  );
});
