// The node agent's socket, with an agent that keeps to the protocol and one that does not.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { decodeZdsAck, decodeZdsHello, encodeZdsRequest } from "@ambit/api";
import { type PodUid, realClock } from "@ambit/core";
import { type FdChannel, listenSeqpacket, type Netns, ownNetns } from "@ambit/linux";
import { LogOutput, parseLogFilter } from "@ambit/runtime";
import { eventually } from "@ambit/testkit";
import { WorkloadManager } from "./workload-manager.ts";
import { runZdsClient } from "./zds-client.ts";

const UID = "uid-a" as PodUid;
const INFO = { name: "a", namespace: "default", serviceAccount: "sa" };
const ADD = encodeZdsRequest({ kind: "add", uid: UID, info: INFO });
const SNAPSHOT_SENT = encodeZdsRequest({ kind: "snapshotSent" });

function setUp(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), "zds-"));
  const path = join(directory, "zds.sock");
  const listener = listenSeqpacket(path);
  const filter = parseLogFilter("error");
  assert.ok(filter !== undefined);
  const logger = new LogOutput("text", filter, () => undefined).logger("test");
  const manager: WorkloadManager = new WorkloadManager({
    addToWorkers: (pod) => setImmediate(() => manager.listening(0, pod.uid, pod.netns.id)),
    removeFromWorkers: () => undefined,
    workerCount: () => 1,
    clock: realClock,
    logger,
    metrics: { started: () => undefined, stopped: () => undefined },
    onChange: () => undefined,
  });
  const ready: boolean[] = [];
  const stop = new AbortController();
  const running = runZdsClient({ path, manager, clock: realClock, logger, onReady: (is) => ready.push(is) }, stop.signal);
  const netns = ownNetns();
  const channels: FdChannel[] = [];
  t.after(async () => {
    stop.abort();
    await running.catch(() => undefined);
    manager.closeAll();
    for (const channel of channels) channel.close();
    listener.close();
    netns.close();
    rmSync(directory, { recursive: true });
  });
  /** The next connection, after its hello. */
  const connection = async () => {
    const channel = await listener.accept();
    assert.ok(channel !== undefined);
    channels.push(channel);
    const hello = await channel.receive();
    assert.ok(hello !== undefined);
    decodeZdsHello(hello.data);
    return channel;
  };
  return { manager, ready, stop, running, netns, connection };
}

/** The error in the acknowledgement; empty when there is none. */
async function send(channel: FdChannel, data: Uint8Array, netns?: Netns): Promise<string> {
  await channel.send(data, netns);
  const answer = await channel.receive();
  assert.ok(answer !== undefined, "the client closed the connection");
  return decodeZdsAck(answer.data);
}

test("runZdsClient() serves pods and is ready after the snapshot", async (t) => {
  const { manager, ready, netns, connection, stop, running } = setUp(t);
  const agent = await connection();
  assert.equal(await send(agent, ADD, netns), "");
  assert.deepEqual([manager.active, ready], [1, []]);
  assert.equal(await send(agent, SNAPSHOT_SENT), "");
  assert.deepEqual(ready, [true]);
  assert.equal(await send(agent, encodeZdsRequest({ kind: "del", uid: UID })), "");
  assert.equal(manager.active, 0);
  stop.abort();
  await running;
});

test("runZdsClient() keeps pods while the agent is away, and what it keeps afterwards", async (t) => {
  const { manager, ready, netns, connection } = setUp(t);
  const first = await connection();
  await send(first, ADD, netns);
  await send(first, SNAPSHOT_SENT);
  first.close();
  const second = await connection();
  assert.deepEqual([manager.active, ready.at(-1)], [1, false]);
  assert.equal(await send(second, encodeZdsRequest({ kind: "keep", uid: UID })), "");
  await send(second, SNAPSHOT_SENT);
  assert.deepEqual([manager.active, ready.at(-1)], [1, true]);
  second.close();
  const third = await connection();
  await send(third, SNAPSHOT_SENT);
  assert.equal(manager.active, 0);
});

for (const [what, message, early] of [
  ["an Add that does not say which pod", encodeZdsRequest({ kind: "add", uid: UID, info: undefined }), []],
  ["Keep after the snapshot", encodeZdsRequest({ kind: "keep", uid: UID }), [SNAPSHOT_SENT]],
  ["a second end of the snapshot", SNAPSHOT_SENT, [SNAPSHOT_SENT]],
] as const) {
  test(`runZdsClient() refuses ${what} and ends`, async (t) => {
    const { running, netns, connection } = setUp(t);
    const agent = await connection();
    for (const each of early) assert.equal(await send(agent, each), "");
    const ended = assert.rejects(running, { code: "ZTUNNEL_ZDS_PROTOCOL" });
    assert.notEqual(await send(agent, message, what.startsWith("an Add") ? netns : undefined), "");
    await ended;
  });
}

for (const [what, message, hasNetns] of [
  ["an Add without a namespace", ADD, false],
  ["a namespace beside another request", SNAPSHOT_SENT, true],
  ["bytes that are no request", Uint8Array.of(0xff, 0xff, 0xff), false],
] as const) {
  test(`runZdsClient() refuses ${what} and connects anew`, async (t) => {
    const { netns, connection, ready } = setUp(t);
    const agent = await connection();
    assert.notEqual(await send(agent, message, hasNetns ? netns : undefined), "");
    const next = await connection();
    assert.equal(await send(next, SNAPSHOT_SENT), "");
    await eventually(() => ready.at(-1) === true);
  });
}
