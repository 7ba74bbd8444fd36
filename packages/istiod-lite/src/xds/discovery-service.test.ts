import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import {
  ADDRESS_TYPE_URL,
  AggregatedDiscoveryService,
  AUTHORIZATION_TYPE_URL,
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
} from "@ambit/api";
import { eventually } from "@ambit/testkit";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type ControlPlane, namesOf, nodeProxy, proxyNode, startControlPlane } from "../testing/control-plane.ts";
import { MemorySource } from "../testing/memory-source.ts";
import { authorizationPolicy, kubernetesService, pod } from "../testing/objects.ts";

const service = (name: string) =>
  kubernetesService(name, { clusterIP: "10.96.0.1", selector: { app: name }, ports: [{ port: 80, name: "http" }] });
const uid = (name: string, namespace = "bookinfo") => `Kubernetes//Pod/${namespace}/${name}`;

function sourceOf(...objects: readonly unknown[]) {
  const source = new MemorySource();
  source.put(nodeProxy, ...objects);
  return source;
}

test("DiscoveryService sends everything to a wildcard, then what changes, in an order that never leaves a policy unknown", async (t) => {
  const source = sourceOf(pod("a", { labels: { app: "a" } }), service("a"));
  const plane = await startControlPlane(t, { source });
  const { client, state, updates } = plane.connect();
  await eventually(() => client.ready);
  assert.deepEqual(state.size, { workloads: 2, services: 1, policies: 0 });
  updates.length = 0;
  source.put(authorizationPolicy("p", { selector: { matchLabels: { app: "a" } } }));
  await eventually(() => updates.length === 2);
  assert.deepEqual(namesOf(updates), ["+bookinfo/p", `+${uid("a")}`]);
  updates.length = 0;
  source.remove("AuthorizationPolicy", "bookinfo", "p");
  await eventually(() => updates.length === 2);
  assert.deepEqual(namesOf(updates), [`+${uid("a")}`, "-bookinfo/p"]);
  source.remove("Pod", "bookinfo", "a");
  await eventually(() => assert.equal(state.size.workloads, 1));
});

/** Another process in place of the first: same authority, port and token keys, other objects. */
async function restart(t: TestContext, plane: ControlPlane, source: MemorySource) {
  await plane.end();
  const { caDirectory: CA_DIR, keysFile: TOKEN_KEYS_FILE, app } = plane;
  return startControlPlane(t, { source, environment: { CA_DIR, TOKEN_KEYS_FILE, GRPC_PORT: `${app.ports.grpc}` } });
}

test("DiscoveryService sends to a proxy that comes back only what differs, and what is gone", async (t) => {
  const kept = [pod("a"), authorizationPolicy("p", {})];
  const plane = await startControlPlane(t, {
    source: sourceOf(...kept, pod("b", { ip: "10.0.0.2" }), pod("c", { ip: "10.0.0.3" })),
  });
  const { client, updates } = plane.connect();
  await eventually(() => client.ready);
  updates.length = 0;
  await restart(t, plane, sourceOf(...kept, pod("b", { ip: "10.0.0.2", ready: false }), pod("d", { ip: "10.0.0.4" })));
  await eventually(() => updates.length === 2);
  assert.deepEqual(namesOf(updates).sort(), [`+${uid("b")}`, `+${uid("d")}`, `-${uid("c")}`]);
});

test("DiscoveryService answers on-demand keys with services, their endpoints and the node's own pods, and unknown ones with a removal", async (t) => {
  const source = sourceOf(
    pod("a", { labels: { app: "a" }, node: "n2" }),
    service("a"),
    pod("far", { node: "n2", ip: "10.0.0.7" }),
    pod("near", { ip: "10.0.0.8" }),
  );
  const plane = await startControlPlane(t, { source });
  const { client, state, updates } = plane.connect({ onDemand: true });
  await eventually(() => client.ready);
  assert.deepEqual([...namesOf(updates)].sort(), [`+${uid("near")}`, `+${uid("zt", "ambit-system")}`].sort());
  updates.length = 0;
  client.subscribe(["/10.96.0.1", "/192.0.2.1"]);
  await eventually(() =>
    assert.deepEqual(namesOf(updates).sort(), [`+${uid("a")}`, "+bookinfo/a.bookinfo.svc.cluster.local", "-/192.0.2.1"].sort()),
  );
  updates.length = 0;
  source.put(pod("far", { node: "n2", ip: "10.0.0.7", ready: false }));
  source.put(pod("a2", { labels: { app: "a" }, node: "n2", ip: "10.0.0.10" }));
  await eventually(() => assert.deepEqual(namesOf(updates), [`+${uid("a2")}`]));
  updates.length = 0;
  source.put(pod("late", { node: "n2", ip: "192.0.2.1" }));
  await eventually(() => assert.deepEqual(namesOf(updates), [`+${uid("late")}`]));
  assert.equal(state.size.services, 1);
});

test("DiscoveryService resumes on-demand watches from the versions that the proxy holds", async (t) => {
  const objects = [pod("a", { labels: { app: "a" }, node: "n2" }), service("a")];
  const plane = await startControlPlane(t, { source: sourceOf(...objects) });
  const { client, updates } = plane.connect({ onDemand: true, node: proxyNode("n3") });
  await eventually(() => client.ready);
  client.subscribe(["bookinfo/a.bookinfo.svc.cluster.local"]);
  await eventually(() => assert.equal(namesOf(updates).length, 2));
  updates.length = 0;
  const source = sourceOf(...objects, pod("unwanted", { node: "n2", ip: "10.0.0.5" }));
  const next = await restart(t, plane, source);
  await eventually(() => updates.length === 2);
  assert.deepEqual(namesOf(updates), []);
  source.put(pod("a", { labels: { app: "a" }, node: "n2", ready: false }));
  await eventually(() => assert.deepEqual(namesOf(updates), [`+${uid("a")}`]));
  const [proxy] = JSON.parse((await next.page("/debug/syncz")).text);
  assert.deepEqual([proxy.types.ADDRESS.wildcard, proxy.types.ADDRESS.keys], [false, 1]);
});

test("DiscoveryService merges changes for a proxy that is slow, and reports what proxies have acknowledged", async (t) => {
  const source = sourceOf();
  const plane = await startControlPlane(t, { source });
  const { client, state } = plane.connect();
  await eventually(() => client.ready);
  for (let i = 0; i < 200; i++) source.put(pod("a", { ready: i % 2 === 0 }));
  source.put(pod("z", { ip: "10.0.0.2" }));
  await eventually(() => state.workloadByUid(uid("z") as never) !== undefined);
  await eventually(async () => {
    const [proxy] = JSON.parse((await plane.page("/debug/syncz")).text);
    assert.deepEqual(
      [proxy.proxy, proxy.types.ADDRESS.synced, proxy.types.AUTHORIZATION.synced],
      ["zt.ambit-system", true, true],
    );
  });
});

test("DiscoveryService refuses a stream whose node is of another namespace than its credentials", async (t) => {
  const plane = await startControlPlane(t, { source: sourceOf() });
  const stranger = plane.connect({ node: proxyNode("n1", "istio-system") });
  const good = plane.connect();
  await eventually(() => good.client.ready);
  assert.equal(stranger.client.ready, false);
  assert.equal(JSON.parse((await plane.page("/debug/connections")).text).totalClients, 1);
});

test("DiscoveryService ends streams at the end of the process, and proxies keep what they have", async (t) => {
  const plane = await startControlPlane(t, { source: sourceOf(pod("a")) });
  const { client, state } = plane.connect();
  await eventually(() => client.ready);
  await plane.end();
  await eventually(() => !client.connected);
  assert.equal(state.size.workloads, 2);
});

test("DiscoveryService serves policies and addresses under the names that the index has", async (t) => {
  const plane = await startControlPlane(t, { source: sourceOf(authorizationPolicy("p", {})) });
  const served = JSON.parse((await plane.page("/debug/adsz")).text);
  assert.deepEqual(
    served[AUTHORIZATION_TYPE_URL].map(({ name }: { name: string }) => name),
    ["bookinfo/p"],
  );
  assert.deepEqual(
    served[ADDRESS_TYPE_URL].map(({ name }: { name: string }) => name),
    [uid("zt", "ambit-system")],
  );
});

/** A stream that a test drives message by message. */
function rawStream(t: TestContext, plane: ControlPlane) {
  const ca = readFileSync(plane.rootCertFile, "utf8");
  const client = createClient(AggregatedDiscoveryService, createGrpcTransport({ baseUrl: plane.address, nodeOptions: { ca } }));
  const requests: DeltaDiscoveryRequest[] = [];
  let wake = () => {};
  const stop = new AbortController();
  t.after(() => stop.abort());
  async function* outgoing() {
    while (!stop.signal.aborted) {
      const request = requests.shift();
      if (request !== undefined) yield request;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  }
  stop.signal.addEventListener("abort", () => wake());
  const headers = { authorization: `Bearer ${plane.issuer.token()}` };
  const responses = client.deltaAggregatedResources(outgoing(), { headers, signal: stop.signal })[Symbol.asyncIterator]();
  return {
    send(fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema>) {
      requests.push(create(DeltaDiscoveryRequestSchema, fields));
      wake();
    },
    next: () => responses.next(),
  };
}

test("DiscoveryService shows what a proxy refused until it acknowledges something newer", async (t) => {
  const source = sourceOf();
  const plane = await startControlPlane(t, { source });
  const stream = rawStream(t, plane);
  const typeUrl = ADDRESS_TYPE_URL;
  const refusedNow = async () => JSON.parse((await plane.page("/debug/syncz")).text)[0].types.ADDRESS.refused;
  stream.send({ typeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster", node: proxyNode() });
  stream.send({ typeUrl });
  const first = await stream.next();
  assert.equal(first.value?.typeUrl, typeUrl);
  stream.send({ typeUrl, responseNonce: first.value?.nonce ?? "", errorDetail: { code: 0, message: "x: bad field" } });
  await eventually(async () => assert.equal(await refusedNow(), "x: bad field"));
  assert.match((await plane.page("/metrics")).text, /pilot_total_xds_rejects\{type="ADDRESS"\} 1/);
  source.put(pod("a"));
  const second = await stream.next();
  stream.send({ typeUrl, responseNonce: second.value?.nonce ?? "" });
  await eventually(async () => assert.equal(await refusedNow(), ""));
});

test("DiscoveryService refuses a stream that does not say who it is", async (t) => {
  const plane = await startControlPlane(t, { source: sourceOf() });
  const stream = rawStream(t, plane);
  stream.send({ typeUrl: ADDRESS_TYPE_URL });
  await assert.rejects(stream.next(), { code: Code.InvalidArgument });
});
