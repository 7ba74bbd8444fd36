import assert from "node:assert/strict";
import test from "node:test";
import { ManualClock } from "./clock.ts";
import { Drain } from "./drain.ts";

function draining() {
  const clock = new ManualClock();
  const drain = new Drain(clock);
  const outcomes: string[] = [];
  return { clock, drain, outcomes, start: () => drain.start(1000, (outcome) => outcomes.push(outcome)) };
}

test("start() finishes at once when nobody holds", () => {
  const { drain, outcomes, start } = draining();
  assert.equal(drain.draining, false);
  start();
  assert.deepEqual(outcomes, ["finished"]);
  assert.equal(drain.draining, true);
});

test("start() finishes when the last holder releases", () => {
  const { drain, outcomes, start } = draining();
  const [a, b] = [drain.hold(), drain.hold()];
  start();
  a();
  assert.deepEqual(outcomes, []);
  b();
  assert.deepEqual(outcomes, ["finished"]);
});

test("start() ends at the deadline, and releases after it change nothing", () => {
  const { clock, drain, outcomes, start } = draining();
  const release = drain.hold();
  start();
  clock.advance(999);
  assert.deepEqual(outcomes, []);
  clock.advance(1);
  release();
  assert.deepEqual(outcomes, ["deadline"]);
});

test("start() a second time is ignored", () => {
  const { drain, outcomes, start } = draining();
  start();
  start();
  assert.deepEqual(outcomes, ["finished"]);
  drain.hold()();
  assert.deepEqual(outcomes, ["finished"]);
});

test("hold() taken while draining is waited for", () => {
  const { drain, outcomes, start } = draining();
  const first = drain.hold();
  start();
  const second = drain.hold();
  first();
  assert.deepEqual(outcomes, []);
  second();
  assert.deepEqual(outcomes, ["finished"]);
});

test("the release of hold() counts once however often it is called", () => {
  const { drain, outcomes, start } = draining();
  const [a, b] = [drain.hold(), drain.hold()];
  a();
  a();
  assert.equal(drain.holders, 1);
  start();
  assert.deepEqual(outcomes, []);
  b();
  assert.deepEqual(outcomes, ["finished"]);
});

test("holders that come and go before start() do not finish it", () => {
  const { drain, outcomes } = draining();
  drain.hold()();
  assert.deepEqual(outcomes, []);
  assert.equal(drain.draining, false);
});
