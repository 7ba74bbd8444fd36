import assert from "node:assert/strict";
import test from "node:test";
import { Backoff } from "./backoff.ts";

test("next() doubles up to the cap when chance is in the middle", () => {
  const backoff = new Backoff({ initialMs: 10, maxMs: 75, random: () => 0.5 });
  assert.deepEqual([backoff.next(), backoff.next(), backoff.next(), backoff.next(), backoff.next()], [10, 20, 40, 75, 75]);
});

test("next() stays within the jitter", () => {
  const low = new Backoff({ initialMs: 100, maxMs: 1000, jitter: 0.2, random: () => 0 });
  const high = new Backoff({ initialMs: 100, maxMs: 1000, jitter: 0.2, random: () => 1 });
  assert.deepEqual([low.next(), high.next()], [80, 120]);
});

test("next() honours another factor", () => {
  const backoff = new Backoff({ initialMs: 1, maxMs: 1000, factor: 10, jitter: 0 });
  assert.deepEqual([backoff.next(), backoff.next(), backoff.next(), backoff.next(), backoff.next()], [1, 10, 100, 1000, 1000]);
});

test("next() keeps its defaults when an option is given as undefined by a spread", () => {
  const given: { factor?: number } = {};
  const backoff = new Backoff({ initialMs: 10, maxMs: 100, jitter: 0, ...given });
  assert.deepEqual([backoff.next(), backoff.next()], [10, 20]);
});

test("reset() starts again from the initial delay", () => {
  const backoff = new Backoff({ initialMs: 10, maxMs: 100, jitter: 0 });
  backoff.next();
  backoff.next();
  backoff.reset();
  assert.equal(backoff.next(), 10);
});
