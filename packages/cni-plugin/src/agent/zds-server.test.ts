import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ManualClock, type PodUid, parseIp, silentLogger } from "@ambit/core";
import { connectSeqpacket, listenSeqpacket, type Netns, ownNetns } from "@ambit/linux";
import { eventually } from "@ambit/testkit";
import { recordingMetrics } from "../testing/recording-metrics.ts";
import { ScriptedProxy } from "../testing/scripted-proxy.ts";
import { isLocated, type LocatedPod, PodSnapshot } from "./pod-snapshot.ts";
import { ZdsServer } from "./zds-server.ts";

interface Fixture {
  readonly server: ZdsServer;
  readonly snapshot: PodSnapshot;
  readonly clock: ManualClock;
  readonly metrics: ReturnType<typeof recordingMetrics>;
  readonly netnsId: string;
  connect(): Promise<ScriptedProxy>;
}

function fixture(t: TestContext): Fixture {
  const directory = mkdtempSync(join(tmpdir(), "cni-zds-"));
  const path = join(directory, "ztunnel.sock");
  const snapshot = new PodSnapshot();
  const clock = new ManualClock();
  const metrics = recordingMetrics();
  const server = new ZdsServer({ snapshot, clock, logger: silentLogger, metrics });
  const listener = listenSeqpacket(path);
  const proxies: ScriptedProxy[] = [];
  t.after(() => {
    for (const proxy of proxies) proxy.channel.close();
    server.closeAll();
    listener.close();
    snapshot.closeAll();
    rmSync(directory, { recursive: true });
  });
  const own = ownNetns();
  own.close();
  return {
    server,
    snapshot,
    clock,
    metrics,
    netnsId: own.id,
    async connect() {
      const [channel, accepted] = await Promise.all([connectSeqpacket(path), listener.accept()]);
      assert.ok(accepted);
      server.accept(accepted);
      const proxy = new ScriptedProxy(channel);
      proxies.push(proxy);
      return proxy;
    },
  };
}

function pod(name: string, netns: Netns | undefined = ownNetns()) {
  const ip = parseIp("10.0.0.1");
  assert.ok(ip);
  return {
    uid: `uid-${name}` as PodUid,
    name,
    namespace: "default",
    serviceAccount: `sa-${name}`,
    ips: [ip],
    settings: { captureInbound: true, captureDns: true, virtualInterfaces: [] },
    netns,
    containerId: "",
    complete: true,
  };
}

function put(snapshot: PodSnapshot, name: string): LocatedPod {
  const entry = pod(name);
  snapshot.put(entry);
  assert.ok(isLocated(entry));
  return entry;
}

test("ZdsServer sends the snapshot after the hello: Add with one namespace, Keep without, then SnapshotSent", async (t) => {
  const { snapshot, connect, netnsId, server, metrics } = fixture(t);
  put(snapshot, "a");
  snapshot.put({ ...pod("lost", undefined), netns: undefined });
  const proxy = await connect();
  assert.equal(server.connected, false);
  await proxy.hello();
  assert.deepEqual(await proxy.takeSnapshot(), [
    { kind: "add", uid: "uid-a", info: { name: "a", namespace: "default", serviceAccount: "sa-a" }, netnsId },
    { kind: "keep", uid: "uid-lost", netnsId: undefined },
  ]);
  assert.equal(server.connected, true);
  assert.equal(metrics.value("ztunnelConnected"), 1);
});

test("ZdsServer.add() succeeds with the acknowledgement and never has two requests under way", async (t) => {
  const { snapshot, connect, server } = fixture(t);
  const proxy = await connect();
  await proxy.hello();
  await proxy.takeSnapshot();
  const [first, second] = [server.add(put(snapshot, "a")), server.add(put(snapshot, "b"))];
  assert.equal((await proxy.read())?.kind, "add");
  const next = proxy.read();
  let early = false;
  void next.then(() => {
    early = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(early, false);
  await proxy.ack();
  await first;
  assert.equal((await next)?.kind, "add");
  await proxy.ack();
  await second;
});

test("ZdsServer.add() fails with the proxy's reason and keeps the connection", async (t) => {
  const { snapshot, connect, server } = fixture(t);
  const proxy = await connect();
  await proxy.hello();
  await proxy.takeSnapshot();
  const adding = server.add(put(snapshot, "a"));
  await proxy.read();
  await proxy.ack("bind: address in use");
  await assert.rejects(adding, { code: "CNI_ZTUNNEL_REFUSED", message: /address in use/ });
  assert.equal(server.connected, true);
});

test("ZdsServer.add() fails when no proxy is connected", async (t) => {
  const { snapshot, server } = fixture(t);
  await assert.rejects(server.add(put(snapshot, "a")), { code: "CNI_ZTUNNEL_NOT_CONNECTED" });
});

test("ZdsServer closes a connection whose acknowledgement is late, so that it is never taken for the next one", async (t) => {
  const { snapshot, connect, server, clock } = fixture(t);
  const proxy = await connect();
  await proxy.hello();
  await proxy.takeSnapshot();
  const adding = server.add(put(snapshot, "a"));
  await proxy.read();
  clock.advance(5000);
  await assert.rejects(adding, { code: "CNI_ZTUNNEL_NOT_CONNECTED" });
  assert.equal(server.connected, false);
  assert.equal(await proxy.read(), undefined);
});

test("ZdsServer closes a connection that says no hello, a wrong one, or anything that nobody asked for", async (t) => {
  const { connect, clock } = fixture(t);
  const silent = await connect();
  clock.advance(5000);
  assert.equal(await silent.read(), undefined);
  const wrong = await connect();
  await wrong.channel.send(Uint8Array.of(8, 9));
  assert.equal(await wrong.read(), undefined);
  const talkative = await connect();
  await talkative.hello();
  await talkative.takeSnapshot();
  await talkative.ack();
  assert.equal(await talkative.read(), undefined);
});

test("ZdsServer gives every proxy every pod, and the newest proxy's answer counts", async (t) => {
  const { snapshot, connect, server } = fixture(t);
  const old = await connect();
  await old.hello();
  await old.takeSnapshot();
  const young = await connect();
  await young.hello();
  await young.takeSnapshot();
  const adding = server.add(put(snapshot, "a"));
  assert.equal((await old.read())?.kind, "add");
  assert.equal((await young.read())?.kind, "add");
  await young.ack();
  await adding;
  await old.ack();
  server.remove("uid-a" as PodUid);
  assert.deepEqual(await Promise.all([old.read(), young.read()]), [
    { kind: "del", uid: "uid-a", netnsId: undefined },
    { kind: "del", uid: "uid-a", netnsId: undefined },
  ]);
});

test("ZdsServer.add() takes the older proxy's answer when the newest one dies meanwhile", async (t) => {
  const { snapshot, connect, server } = fixture(t);
  const old = await connect();
  await old.hello();
  await old.takeSnapshot();
  const young = await connect();
  await young.hello();
  await young.takeSnapshot();
  const adding = server.add(put(snapshot, "a"));
  await Promise.all([old.read(), young.read()]);
  young.channel.close();
  await old.ack();
  await adding;
});

test("ZdsServer does not send a pod that left while its Add was waiting, and never a closed descriptor", async (t) => {
  const { snapshot, connect, server } = fixture(t);
  const proxy = await connect();
  await proxy.hello();
  await proxy.takeSnapshot();
  const blocking = server.add(put(snapshot, "a"));
  const waiting = server.add(put(snapshot, "b"));
  server.remove("uid-b" as PodUid);
  snapshot.drop("uid-b" as PodUid);
  await assert.rejects(waiting, { code: "CNI_ZTUNNEL_NOT_CONNECTED" });
  assert.equal((await proxy.read())?.kind, "add");
  await proxy.ack();
  await blocking;
  assert.deepEqual(await proxy.read(), { kind: "del", uid: "uid-b", netnsId: undefined });
});

test("ZdsServer refuses a pod whose message is too long for the protocol and goes on", async (t) => {
  const { snapshot, connect, server } = fixture(t);
  const proxy = await connect();
  await proxy.hello();
  await proxy.takeSnapshot();
  await assert.rejects(server.add(put(snapshot, "x".repeat(1100))), { code: "CNI_ZTUNNEL_REFUSED" });
  const adding = server.add(put(snapshot, "a"));
  assert.equal((await proxy.read())?.kind, "add");
  await proxy.ack();
  await adding;
});

test("ZdsServer sends away whoever connects more than five times within a second", async (t) => {
  const { connect, clock, server } = fixture(t);
  for (let i = 0; i < 5; i++) (await connect()).channel.close();
  assert.equal(await (await connect()).read(), undefined);
  clock.advance(1000);
  await (await connect()).hello();
  await eventually(() => server.connected);
});
