// Where connections go: by service, name, address, on one node and across, in both address families.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "@ambit/testkit";
import { meshForFile, NODES, serviceFor, webServer } from "./mesh.ts";

const PATH = "/details/0";

const mesh = meshForFile(async (mesh) => {
  await mesh.apply(
    serviceFor("near"),
    serviceFor("far"),
    serviceFor("headless", { clusterIP: "None", selector: { app: "far" } }),
  );
  await mesh.pods({ name: "client", node: "node-a" }, webServer("near", "node-a"), webServer("far", "node-b"), {
    name: "stranger",
    node: "node-b",
    namespace: "outside",
  });
});

for (const [what, url] of [
  ["a service on the same node by its short name", `http://near${PATH}`],
  ["a service on the other node by its short name", `http://far${PATH}`],
  ["a service by name and namespace", `http://far.app${PATH}`],
  ["a service by its full name", `http://far.app.svc.cluster.local${PATH}`],
  ["a headless service by name", `http://headless.app:9080${PATH}`],
] as const) {
  test(`a pod in the mesh reaches ${what}`, async () => {
    const { status } = await mesh.eventuallyFetches("client", `${url}`, true);
    assert.equal(status, 200);
  });
}

test("a pod in the mesh reaches another by both of its addresses, encrypted", async () => {
  const { ips } = await mesh.pod("far");
  assert.equal(ips.length, 2);
  for (const ip of ips) {
    const host = ip.includes(":") ? `[${ip}]` : ip;
    assert.equal((await mesh.fetch("client", `http://${host}:9080${PATH}`)).status, 200);
    await eventually(async () =>
      (await mesh.accessLines("node-a")).some(
        (line) => line.includes(`dst.addr=${host}:15008`) && line.includes('dst.identity="spiffe://cluster.local/ns/app/sa/far"'),
      ),
    );
  }
});

test("every connection is reported once on each side, with the same labels and bytes", async () => {
  const before = await closedOf("near");
  assert.equal((await mesh.fetch("client", `http://near${PATH}`)).status, 200);
  const after = await eventually(async () => {
    const now = await closedOf("near");
    return now.source === before.source + 1 && now.destination === before.destination + 1 ? now : false;
  });
  assert.equal(after.received.source, after.received.destination);
  assert.equal(after.sent.source, after.sent.destination);
});

/** Counters of connections between client and `app`, over both nodes. */
async function closedOf(app: string) {
  const sums = { source: 0, destination: 0, received: { source: 0, destination: 0 }, sent: { source: 0, destination: 0 } };
  for (const node of NODES) {
    for (const line of (await mesh.client.ztunnelMetrics(node)).split("\n")) {
      if (!line.includes(`destination_workload="${app}"`) || !line.includes('source_workload="client"')) continue;
      const reporter = line.includes('reporter="source"') ? "source" : "destination";
      const value = Number(line.split(" ").at(-1));
      if (line.startsWith("istio_tcp_connections_closed_total")) sums[reporter] += value;
      if (line.startsWith("istio_tcp_received_bytes_total")) sums.received[reporter] += value;
      if (line.startsWith("istio_tcp_sent_bytes_total")) sums.sent[reporter] += value;
    }
  }
  return sums;
}

test("a client outside the mesh and a server outside the mesh are reached in plaintext while nothing forbids it", async () => {
  await mesh.pods(webServer("plain", "node-a", { namespace: "outside" }));
  assert.equal((await mesh.fetch("stranger", `http://near.app${PATH}`, "outside")).status, 200);
  const { ips } = await mesh.pod("plain", "outside");
  assert.equal((await mesh.fetch("client", `http://${ips[0]}:9080${PATH}`)).status, 200);
});

test("names that nobody knows stay unknown, and ports where nobody listens refuse", async () => {
  assert.match((await mesh.fetch("client", `http://nobody.invalid${PATH}`)).text, /ENOTFOUND|EAI_AGAIN/);
  const { status } = await mesh.fetch("client", `http://far.app:81${PATH}`);
  assert.equal(status, 0);
  const { ips } = await mesh.pod("far");
  assert.equal((await mesh.fetch("client", `http://${ips[0]}:9999${PATH}`)).status, 0);
});

test("a service entry's host is answered and reached", async () => {
  const { ips } = await mesh.pod("far");
  await mesh.apply({
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name: "api", namespace: "app" },
    spec: {
      hosts: ["api.example.test"],
      addresses: ["240.240.7.7"],
      ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: 9080 }],
      resolution: "STATIC",
      endpoints: [{ address: ips[0] }],
    },
  });
  await mesh.eventuallyFetches("client", `http://api.example.test${PATH}`, true);
});

test("a pod that leaves the mesh by its label is reached without it, and comes back", async () => {
  const relabel = (value: string | null) =>
    mesh.client.patch({
      kind: "Pod",
      namespace: "app",
      name: "near",
      patch: { metadata: { labels: { "istio.io/dataplane-mode": value } } },
    });
  await relabel("none");
  await eventually(async () => (await mesh.pod("near")).redirection !== "enabled", { timeoutMs: 15_000 });
  await mesh.eventuallyFetches("client", `http://near${PATH}`, true);
  await relabel(null);
  await eventually(async () => (await mesh.pod("near")).redirection === "enabled", { timeoutMs: 15_000 });
  await mesh.eventuallyFetches("client", `http://near${PATH}`, true);
});
