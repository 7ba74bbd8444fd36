import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, type PodUid } from "@ambit/core";
import { LogOutput, parseLogFilter } from "@ambit/runtime";
import { fakeNetns } from "../testing/fake-netns.ts";
import { WorkloadManager } from "./workload-manager.ts";

const A = "uid-a" as PodUid;
const B = "uid-b" as PodUid;
const FACTS = { name: "a", namespace: "default", serviceAccount: "sa" };

/** Two workers that answer when the test lets them. */
function setUp() {
  const sent: string[] = [];
  const clock = new ManualClock();
  const counts = { started: 0, stopped: 0, changes: 0 };
  const filter = parseLogFilter("error");
  assert.ok(filter !== undefined);
  const manager = new WorkloadManager({
    addToWorkers: (pod) => sent.push(`add ${pod.uid} ${pod.netns.id}`),
    removeFromWorkers: (uid) => sent.push(`remove ${uid}`),
    workerCount: () => 2,
    clock,
    logger: new LogOutput("text", filter, () => undefined).logger("test"),
    metrics: { started: () => counts.started++, stopped: () => counts.stopped++ },
    onChange: () => counts.changes++,
  });
  const serve = (uid: PodUid, netns: string) => {
    manager.listening(0, uid, netns);
    manager.listening(1, uid, netns);
  };
  return { manager, sent, clock, counts, serve };
}

test("WorkloadManager.add() waits for every worker", async () => {
  const { manager, sent, serve, counts } = setUp();
  let isDone = false;
  const added = manager.add(A, FACTS, fakeNetns("1")).then(() => {
    isDone = true;
  });
  manager.listening(0, A, "1");
  manager.listening(0, A, "1");
  await Promise.resolve();
  assert.deepEqual([isDone, manager.active, manager.pending], [false, 0, 1]);
  serve(A, "1");
  await added;
  assert.deepEqual([manager.active, manager.pending, counts.started, sent], [1, 0, 1, ["add uid-a 1"]]);
});

test("WorkloadManager.add() of what is served already does nothing and closes the second descriptor", async () => {
  const { manager, sent, serve, counts } = setUp();
  const [first, second] = [fakeNetns("1"), fakeNetns("1")];
  const added = manager.add(A, FACTS, first);
  serve(A, "1");
  await added;
  await manager.add(A, FACTS, second);
  assert.deepEqual([first.isClosed, second.isClosed, sent.length, counts.started], [false, true, 1, 1]);
});

test("WorkloadManager.add() with another namespace replaces the pod, and late answers of the former do not count", async () => {
  const { manager, sent, serve } = setUp();
  const first = fakeNetns("1");
  const before = manager.add(A, FACTS, first);
  const second = manager.add(A, FACTS, fakeNetns("2"));
  await assert.rejects(before, { code: "ZTUNNEL_POD_REMOVED" });
  assert.equal(first.isClosed, true);
  assert.deepEqual(sent, ["add uid-a 1", "remove uid-a", "add uid-a 2"]);
  serve(A, "1");
  manager.failed(A, "1", "late");
  assert.equal(manager.active, 0);
  serve(A, "2");
  await second;
  assert.equal(manager.active, 1);
});

test("WorkloadManager tries a failed start again every 5 s, and the pod is up when it works", async () => {
  const { manager, sent, clock, serve } = setUp();
  const added = manager.add(A, FACTS, fakeNetns("1"));
  manager.failed(A, "1", "address in use");
  manager.failed(A, "1", "address in use");
  await assert.rejects(added, { code: "ZTUNNEL_POD_LISTEN_FAILED", message: "Cannot listen in the pod: address in use" });
  clock.advance(4_999);
  assert.equal(sent.length, 1);
  clock.advance(1);
  assert.equal(sent.length, 2);
  manager.failed(A, "1", "address in use");
  clock.advance(5_000);
  assert.equal(sent.length, 3);
  serve(A, "1");
  assert.equal(manager.active, 1);
  clock.advance(60_000);
  assert.equal(sent.length, 3);
});

test("WorkloadManager stops trying when the pod leaves", async () => {
  const { manager, sent, clock } = setUp();
  manager.snapshotSent();
  const added = manager.add(A, FACTS, fakeNetns("1"));
  manager.failed(A, "1", "no");
  await assert.rejects(added);
  manager.delete(A);
  clock.advance(60_000);
  assert.deepEqual(sent, ["add uid-a 1", "remove uid-a"]);
});

test("WorkloadManager.snapshotSent() takes away what was not named, and keeps what was kept", async () => {
  const { manager, serve, counts } = setUp();
  const [a, b] = [fakeNetns("1"), fakeNetns("2")];
  const added = [manager.add(A, FACTS, a), manager.add(B, { ...FACTS, name: "b" }, b)];
  serve(A, "1");
  serve(B, "2");
  await Promise.all(added);
  manager.snapshotSent();
  manager.connected();
  assert.equal(manager.active, 2);
  manager.keep(A);
  manager.snapshotSent();
  assert.deepEqual(
    manager.pods().map(({ pod }) => pod.uid),
    [A],
  );
  assert.deepEqual([a.isClosed, b.isClosed, counts.stopped], [false, true, 1]);
});

test("WorkloadManager.delete() before the snapshot forgets the name only; the snapshot takes the pod", async () => {
  const { manager, serve } = setUp();
  const added = manager.add(A, FACTS, fakeNetns("1"));
  serve(A, "1");
  await added;
  manager.delete(A);
  assert.equal(manager.active, 1);
  manager.snapshotSent();
  assert.equal(manager.active, 0);
});

test("WorkloadManager refuses Keep and a second end after the snapshot", () => {
  const { manager } = setUp();
  manager.snapshotSent();
  assert.throws(() => manager.snapshotSent(), { code: "ZTUNNEL_ZDS_PROTOCOL" });
  assert.throws(() => manager.keep(A), { code: "ZTUNNEL_ZDS_PROTOCOL" });
});

test("WorkloadManager.workerDied() leaves the pod pending until the worker's successor serves it", async () => {
  const { manager, serve } = setUp();
  const added = manager.add(A, FACTS, fakeNetns("1"));
  serve(A, "1");
  await added;
  manager.workerDied(1);
  assert.deepEqual([manager.active, manager.pending], [0, 1]);
  const told: string[] = [];
  manager.workerStarted((pod) => told.push(pod.uid));
  assert.deepEqual(told, [A]);
  manager.listening(1, A, "1");
  assert.equal(manager.active, 1);
});
