import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "@ambit/testkit";
import type { LabClient } from "./api/client.ts";
import { application, callsTo, inClient, startTestLab, untilReady, webPods } from "./lab.testing.ts";

let started: Awaited<ReturnType<typeof startTestLab>>;
let client: LabClient;

before(async () => {
  started = await startTestLab({});
  client = started.lab.client;
  await client.apply({ yaml: application(2), file: "shop.yaml" });
  await untilReady(client, 2);
});
after(() => started.stop());

const enrolled = () =>
  eventually(
    async () => {
      const own = (await client.state()).pods.filter(({ namespace }) => namespace === "shop");
      return own.length > 0 && own.every(({ wantsMesh, redirection, ready }) => wantsMesh && redirection === "enabled" && ready);
    },
    { timeoutMs: 20_000 },
  );

test("the mesh's processes run on every node and stand among the pods", async () => {
  const { nodes, controlPlane, pods } = await client.state();
  for (const { components } of nodes) {
    assert.deepEqual(components.map(({ component }) => component).sort(), ["agent", "ztunnel"]);
    assert.ok(components.every(({ running, ready }) => running && ready));
    for (const { pod } of components) assert.ok(pods.some(({ name, namespace }) => name === pod && namespace === "ambit-system"));
  }
  assert.deepEqual(
    controlPlane.components.map(({ component }) => component),
    ["istiod-lite"],
  );
});

test("pods of a labelled namespace go on through the mesh without a restart, and what passes between nodes cannot be read", async () => {
  const before = (await webPods(client)).map(({ name }) => name).sort();
  await client.patch({
    kind: "Namespace",
    namespace: "",
    name: "shop",
    patch: { metadata: { labels: { "istio.io/dataplane-mode": "ambient" } } },
  });
  await enrolled();
  assert.deepEqual((await webPods(client)).map(({ name }) => name).sort(), before);
  const remote = (await webPods(client)).find(({ node }) => node === "node-a");
  const finish = await client.capture({ node: "node-a" });
  const called = await inClient(client, callsTo(`http://${remote?.ips[0]}:8080/marked-request`, 1));
  assert.equal(called.exitCode, 0, called.stderr);
  const { frames } = await finish();
  assert.ok(frames.length > 0);
  assert.ok(!frames.some(({ bytes }) => Buffer.from(bytes).includes("/marked-request")));
  const dump = JSON.parse(await client.ztunnel("node-a", "/config_dump")) as { certificates: { identity: string }[] };
  assert.ok(dump.certificates.some(({ identity }) => identity === "spiffe://cluster.local/ns/shop/sa/web"));
  assert.match(await client.ztunnelMetrics("node-a"), /istio_tcp_connections_opened_total/);
});

test("a killed node proxy is back with its pods, and pods that start in the mesh are enrolled from their first packet", async () => {
  const restartsOf = async () =>
    (await client.state()).nodes[0]?.components.find(({ component }) => component === "ztunnel")?.restarts ?? 0;
  await client.kill({ component: "ztunnel", node: "node-a", signal: "SIGKILL" });
  await eventually(async () => (await restartsOf()) === 1);
  await eventually(async () => (await inClient(client, callsTo("http://web", 10))).exitCode === 0, { timeoutMs: 20_000 });
  await client.apply({ yaml: application(4), file: "shop.yaml" });
  await untilReady(client, 4);
  await enrolled();
  await eventually(
    async () => new Set(JSON.parse((await inClient(client, callsTo("http://web", 40))).stdout) as string[]).size === 4,
    { timeoutMs: 20_000 },
  );
});
