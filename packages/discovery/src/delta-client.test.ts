import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL, encodeAuthorization } from "@ambit/api";
import { type Counter, realClock, silentLogger } from "@ambit/core";
import {
  authorization,
  createTestAuthority,
  eventually,
  FakeControlPlane,
  type FakeControlPlaneOptions,
  service,
  workload,
} from "@ambit/testkit";
import { Code } from "@connectrpc/connect";
import { rootSource } from "./credential-sources.ts";
import { DeltaClient, type DeltaClientDeps, type DeltaClientOptions } from "./delta-client.ts";
import { discoveryNode } from "./discovery-node.ts";
import { MeshState } from "./mesh-state.ts";
import type { MeshUpdate } from "./mesh-update.ts";

const node = discoveryNode({
  proxyType: "ztunnel",
  podName: "zt",
  podNamespace: "ambit-system",
  nodeName: "n1",
  environment: {},
});
const a = workload().named("a").at("10.0.0.1");
const b = workload().named("b").at("10.0.0.2");
const policy = authorization()
  .named("p")
  .rule({ namespaces: ["x"] });

class Counts implements Counter {
  readonly values = new Map<string, number>();
  inc(labels: Readonly<Record<string, string>>, by = 1): void {
    const key = Object.values(labels).join();
    this.values.set(key, (this.values.get(key) ?? 0) + by);
  }
}

interface Started {
  readonly deps?: Partial<DeltaClientDeps>;
  readonly options?: Partial<DeltaClientOptions>;
}

/** A control plane, and a way to connect clients to it; both end with the test. */
async function setUp(t: TestContext, planeOptions: FakeControlPlaneOptions = {}) {
  const plane = await new FakeControlPlane(planeOptions).start();
  const start = ({ deps = {}, options = {} }: Started = {}) => {
    const state = new MeshState();
    const updates: MeshUpdate[] = [];
    const metrics = { terminations: new Counts(), messages: new Counts(), messageBytes: new Counts() };
    const events: string[] = [];
    const client = new DeltaClient(
      {
        clock: realClock,
        logger: silentLogger,
        metrics,
        readRoots: () => Promise.resolve([]),
        readToken: () => Promise.resolve(undefined),
        onUpdate(update) {
          updates.push(update);
          state.apply(update);
        },
        onReady: () => events.push("ready"),
        ...deps,
      },
      {
        address: plane.address,
        clusterId: "Kubernetes",
        headers: {},
        node,
        backoff: { initialMs: 1, maxMs: 20, jitter: 0.5 },
        ...options,
      },
    );
    const controller = new AbortController();
    const running = client.run(controller.signal);
    const stop = async () => {
      controller.abort();
      await running;
    };
    t.after(stop);
    return { client, state, updates, metrics, events, stop };
  };
  t.after(() => plane.stop());
  return { plane, start };
}

test("run() subscribes to both types, applies and acks what comes, and says once that it is ready", async (t) => {
  const { plane, start } = await setUp(t);
  plane.setWorkload(a.build(), b.build());
  plane.setService(service().named("web").build());
  plane.setPolicy(policy.build());
  const { client, state, events, metrics } = start();
  assert.equal(client.ready, false);
  await eventually(() => client.ready);
  assert.deepEqual(state.size, { workloads: 2, services: 1, policies: 1 });
  assert.equal(state.workloadByUid(a.build().uid)?.name, "a");
  await eventually(
    () => plane.stream.answers(ADDRESS_TYPE_URL).length === 1 && plane.stream.answers(AUTHORIZATION_TYPE_URL).length === 1,
  );
  assert.ok(plane.stream.requests.every((request) => request.errorDetail === undefined));
  plane.setWorkload(workload().named("c").build());
  await eventually(() => state.size.workloads === 3);
  assert.deepEqual(events, ["ready"]);
  assert.equal(metrics.messages.values.get(ADDRESS_TYPE_URL), 2);
  assert.ok((metrics.messageBytes.values.get(ADDRESS_TYPE_URL) ?? 0) > 50);
  assert.equal(client.connected, true);
});

test("run() is ready with an empty mesh too", async (t) => {
  const { start } = await setUp(t);
  const { client } = start();
  await eventually(() => client.ready);
});

test("run() introduces itself, with a token read anew for every stream", async (t) => {
  const { plane, start } = await setUp(t);
  let reads = 0;
  const { client } = start({
    deps: { readToken: () => Promise.resolve(`t${++reads}`) },
    options: { headers: { "x-extra": "1" }, clusterId: "c1" },
  });
  await eventually(() => client.ready);
  const opening = plane.stream.opening(ADDRESS_TYPE_URL);
  assert.equal(opening?.node?.id, "ztunnel~1.1.1.1~zt.ambit-system~ambit-system.svc.cluster.local");
  assert.equal(opening?.node?.metadata?.["NODE_NAME"], "n1");
  const { headers } = plane.stream;
  assert.deepEqual([headers.get("authorization"), headers.get("clusterid"), headers.get("x-extra")], ["Bearer t1", "c1", "1"]);
  plane.breakConnections();
  await eventually(() => plane.streams.length === 2);
  assert.equal(plane.stream.headers.get("authorization"), "Bearer t2");
});

test("run() keeps what it knows over a break, and asks only for what it lacks", async (t) => {
  const { plane, start } = await setUp(t);
  plane.setWorkload(a.build(), b.build());
  plane.setPolicy(policy.build());
  const { client, state, metrics } = start();
  await eventually(() => client.ready);
  await plane.stop();
  await eventually(() => !client.connected);
  assert.equal(state.size.workloads, 2);
  plane.remove(ADDRESS_TYPE_URL, b.build().uid);
  plane.setWorkload(workload().named("c").build());
  plane.remove(AUTHORIZATION_TYPE_URL, "default/p");
  await plane.start();
  await eventually(
    () => state.workloadByUid(b.build().uid) === undefined && state.size.workloads === 2 && state.size.policies === 0,
  );
  const versions = plane.stream.opening(ADDRESS_TYPE_URL)?.initialResourceVersions ?? {};
  assert.deepEqual(Object.keys(versions).sort(), [a.build().uid, b.build().uid]);
  assert.ok(Object.values(versions).every((version) => version.length > 0));
  assert.equal(metrics.messages.values.get(ADDRESS_TYPE_URL), 2);
  assert.ok((metrics.terminations.values.get("Reconnect") ?? 0) >= 1, JSON.stringify([...metrics.terminations.values]));
});

test("run() refuses one bad resource and keeps the good ones of the same answer", async (t) => {
  const { plane, start } = await setUp(t);
  const bad = encodeAuthorization(policy.named("bad").with({ scope: "namespace" }).build());
  // Field 3 (scope) as an enum number that does not exist.
  plane.set(
    AUTHORIZATION_TYPE_URL,
    ["default/bad", Buffer.concat([bad, Buffer.from([0x18, 0x63])])],
    ["default/good", encodeAuthorization(policy.named("good").build())],
  );
  const { client, state } = start();
  await eventually(() => client.ready);
  assert.deepEqual(
    state.policies().map(({ name }) => name),
    ["good"],
  );
  await eventually(() => plane.stream.answers(AUTHORIZATION_TYPE_URL).length > 0);
  const [nack] = plane.stream.answers(AUTHORIZATION_TYPE_URL);
  assert.match(nack?.errorDetail?.message ?? "", /^default\/bad: scope: 99/);
  plane.breakConnections();
  await eventually(() => plane.streams.length === 2 && plane.stream.opening(AUTHORIZATION_TYPE_URL) !== undefined);
  assert.deepEqual(Object.keys(plane.stream.opening(AUTHORIZATION_TYPE_URL)?.initialResourceVersions ?? {}), ["default/good"]);
});

test("run() removes what is removed", async (t) => {
  const { plane, start } = await setUp(t);
  plane.setWorkload(a.build(), b.build());
  const { client, state } = start();
  await eventually(() => client.ready);
  plane.remove(ADDRESS_TYPE_URL, a.build().uid);
  await eventually(() => state.size.workloads === 1);
  assert.equal(state.workloadByUid(b.build().uid)?.name, "b");
});

test("run() acks a type that nobody asked for, and goes on", async (t) => {
  const { plane, start } = await setUp(t);
  const { client } = start();
  await eventually(() => client.ready);
  plane.stream.wanted.set("type.test/Other", undefined);
  plane.set("type.test/Other", ["x", new Uint8Array([1])]);
  await eventually(() => plane.stream.answers("type.test/Other").length === 1);
  assert.equal(plane.stream.answers("type.test/Other")[0]?.errorDetail, undefined);
  assert.equal(plane.streams.length, 1);
});

test("run() counts clean ends, and reconnects after them", async (t) => {
  const { plane, start } = await setUp(t);
  const { client, metrics } = start();
  await eventually(() => client.ready);
  plane.stream.end();
  await eventually(() => plane.streams.length === 2);
  assert.equal(metrics.terminations.values.get("Complete"), 1);
});

test("run() waits longer and longer while it is refused, and recovers", async (t) => {
  const { plane, start } = await setUp(t);
  plane.refuse(Code.Unauthenticated);
  const { client, metrics } = start();
  await eventually(() => plane.streams.length >= 4);
  assert.ok((metrics.terminations.values.get("Error") ?? 0) >= 3);
  assert.equal(client.ready, false);
  plane.refuse(undefined);
  await eventually(() => client.ready);
});

test("run() keeps trying while nobody listens, and while the token cannot be read", async (t) => {
  const { plane, start } = await setUp(t);
  await plane.stop();
  let unreadable = true;
  const readToken = () => (unreadable ? Promise.reject(new Error("no such file")) : Promise.resolve("t"));
  const { client, metrics } = start({ deps: { readToken } });
  await eventually(() => (metrics.terminations.values.get("ConnectionError") ?? 0) >= 3);
  unreadable = false;
  const before = metrics.terminations.values.get("ConnectionError") ?? 0;
  await eventually(() => (metrics.terminations.values.get("ConnectionError") ?? 0) >= before + 3);
  await plane.start();
  await eventually(() => client.ready);
});

test("run() survives a storm of restarts with the state of the last one, over one stream", async (t) => {
  const { plane, start } = await setUp(t);
  const { client, state } = start();
  for (let i = 0; i < 15; i++) {
    plane.setWorkload(workload().named(`w${i}`).build());
    if (i > 2)
      plane.remove(
        ADDRESS_TYPE_URL,
        workload()
          .named(`w${i - 3}`)
          .build().uid,
      );
    if (i % 3 === 0) plane.breakConnections();
    else if (i % 3 === 1) {
      await plane.stop();
      await plane.start();
    } else await eventually(() => client.connected);
  }
  await eventually(() => {
    assert.deepEqual(
      state
        .workloads()
        .map(({ name }) => name)
        .sort(),
      ["w12", "w13", "w14"],
    );
    assert.equal(plane.openStreams, 1);
  });
});

test("run() ends when its signal aborts, in every state", async (t) => {
  const { plane, start } = await setUp(t);
  const connected = start();
  await eventually(() => connected.client.ready);
  await connected.stop();
  assert.equal(connected.client.connected, false);
  await eventually(() => plane.openStreams === 0);
  plane.refuse(Code.PermissionDenied);
  const waiting = start({ options: { backoff: { initialMs: 60_000, maxMs: 60_000, jitter: 0 } } });
  await eventually(() => waiting.metrics.terminations.values.size > 0);
  await waiting.stop();
  await start().stop();
});

test("subscribe() asks for addresses by name, now and after a break; unknown names come back removed", async (t) => {
  const { plane, start } = await setUp(t);
  plane.setWorkload(a.build(), b.build());
  plane.setPolicy(policy.build());
  const { client, state, updates } = start({ options: { onDemand: true } });
  await eventually(() => client.ready);
  assert.deepEqual(state.size, { workloads: 0, services: 0, policies: 1 });
  client.subscribe([a.build().uid]);
  await eventually(() => state.size.workloads === 1);
  client.subscribe(["/10.9.9.9"]);
  await eventually(() => updates.some((update) => update.addresses?.removals.includes("/10.9.9.9")));
  plane.breakConnections();
  await eventually(() => plane.streams.length === 2);
  client.subscribe([b.build().uid]);
  await eventually(() => state.size.workloads === 2);
  assert.ok(plane.stream.opening(ADDRESS_TYPE_URL)?.resourceNamesSubscribe.includes(a.build().uid));
  client.unsubscribe([a.build().uid]);
  await eventually(() => plane.stream.requests.some((request) => request.resourceNamesUnsubscribe.includes(a.build().uid)));
});

test("run() trusts only the root of the moment, and takes a new one when it reconnects", async (t) => {
  const [authority, other] = [createTestAuthority(), createTestAuthority()];
  const { plane, start } = await setUp(t, { tls: authority.issue({ dnsNames: ["localhost"] }) });
  let root = other.rootPem;
  const { client, metrics } = start({ deps: { readRoots: () => rootSource(root)() } });
  await eventually(() => (metrics.terminations.values.get("ConnectionError") ?? 0) >= 2);
  assert.equal(plane.streams.length, 0);
  root = authority.rootPem;
  await eventually(() => client.ready);
});

test("run() refuses a server of another name, unless that name is the expected one", async (t) => {
  const authority = createTestAuthority();
  const { plane, start } = await setUp(t, { tls: authority.issue({ dnsNames: ["istiod.ambit-system.svc"] }) });
  const readRoots = rootSource(authority.rootPem);
  const refused = start({ deps: { readRoots } });
  await eventually(() => (refused.metrics.terminations.values.get("ConnectionError") ?? 0) >= 2);
  assert.equal(plane.streams.length, 0);
  const accepted = start({
    deps: { readRoots },
    options: { serverName: "istiod.ambit-system.svc", address: plane.address.replace("https://", "") },
  });
  await eventually(() => accepted.client.ready);
});
