import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, MeshError, type SpiffeId, silentLogger, spiffeId } from "@ambit/core";
import { eventually } from "@ambit/testkit";
import type { Svid } from "./svid.ts";
import { type SvidChange, SvidManager } from "./svid-manager.ts";

const HOUR_MS = 3_600_000;
const id = (name: string): SpiffeId => spiffeId({ trustDomain: "cluster.local", namespace: "ns", serviceAccount: name });

/** An authority under the test's control: each request waits until the test answers it. */
function manager(concurrency?: number) {
  const clock = new ManualClock(1_000_000);
  const requests: { identity: SpiffeId; answer(): void; refuse(): void }[] = [];
  const asked: SpiffeId[] = [];
  const fetch = (identity: SpiffeId) =>
    new Promise<Svid>((resolve, reject) => {
      asked.push(identity);
      const notBeforeMs = clock.nowMs();
      requests.push({
        identity,
        answer: () =>
          resolve({
            identity,
            certChain: `c${asked.length}`,
            privateKey: "",
            roots: "",
            notBeforeMs,
            notAfterMs: notBeforeMs + HOUR_MS,
          }),
        refuse: () => reject(new MeshError("IDENTITY_CA_REFUSED", "no")),
      });
    });
  const svids = new SvidManager({ fetch, clock, logger: silentLogger }, concurrency === undefined ? {} : { concurrency });
  const changes: SvidChange[] = [];
  svids.onChange((change) => void changes.push(change));
  const next = async () => {
    await eventually(() => assert.ok(requests.length > 0));
    return requests.shift();
  };
  return { clock, svids, changes, asked, requests, next };
}

test("svidFor() fetches once for callers that wait together", async () => {
  const { svids, asked, next } = manager();
  const all = [svids.svidFor(id("a")), svids.svidFor(id("a")), svids.svidFor(id("a"))];
  (await next())?.answer();
  const got = await Promise.all(all);
  assert.equal(asked.length, 1);
  assert.equal(got[0], got[2]);
});

test("SvidManager renews at half of the lifetime with the old certificate serving meanwhile", async () => {
  const { svids, clock, asked, next } = manager();
  const first = svids.svidFor(id("a"));
  (await next())?.answer();
  const old = await first;
  clock.advance(HOUR_MS / 2 - 1);
  assert.equal(asked.length, 1);
  clock.advance(1);
  const renewal = await next();
  assert.equal(svids.current(id("a")), old);
  renewal?.answer();
  await eventually(() => assert.notEqual(svids.current(id("a")), old));
});

test("SvidManager keeps the old certificate while renewal fails, refuses once it has expired, and recovers", async () => {
  const { svids, clock, changes, next } = manager();
  const first = svids.svidFor(id("a"));
  (await next())?.answer();
  await first;
  clock.advance(HOUR_MS / 2);
  (await next())?.refuse();
  await new Promise(setImmediate);
  assert.ok(svids.current(id("a")));
  clock.advance(HOUR_MS / 2);
  assert.equal(svids.current(id("a")), undefined);
  assert.equal(changes.at(-1)?.kind, "unavailable");
  assert.equal(svids.status()[0]?.state, "Unavailable");
  (await next())?.answer();
  await eventually(() => assert.ok(svids.current(id("a"))));
});

test("svidFor() rejects at once after a failed first fetch, until the retry has succeeded", async () => {
  const { svids, clock, asked, next } = manager();
  const first = svids.svidFor(id("a"));
  (await next())?.refuse();
  await assert.rejects(first, { code: "IDENTITY_CA_REFUSED" });
  await assert.rejects(svids.svidFor(id("a")), { code: "IDENTITY_CA_REFUSED" });
  assert.equal(asked.length, 1);
  clock.advance(1000);
  (await next())?.answer();
  await eventually(() => svids.svidFor(id("a")));
});

test("SvidManager serves a waiting connection before prefetches when requests are limited", async () => {
  const { svids, next } = manager(1);
  svids.prefetch(id("running"));
  svids.prefetch(id("warm"));
  const waiting = svids.svidFor(id("urgent"));
  (await next())?.answer();
  const second = await next();
  assert.equal(second?.identity, id("urgent"));
  second?.answer();
  await waiting;
  (await next())?.answer();
});

test("forget() rejects waiters and drops the certificate", async () => {
  const { svids, changes, next } = manager();
  const waiting = svids.svidFor(id("a"));
  await next();
  svids.forget(id("a"));
  await assert.rejects(waiting, { code: "IDENTITY_FORGOTTEN" });
  assert.equal(changes.at(-1)?.kind, "forgotten");
  assert.equal(svids.status().length, 0);
});

test("renewAll() replaces every certificate", async () => {
  const { svids, next } = manager();
  const first = svids.svidFor(id("a"));
  (await next())?.answer();
  const old = await first;
  svids.renewAll();
  (await next())?.answer();
  await eventually(() => assert.notEqual(svids.current(id("a")), old));
});
