import assert from "node:assert/strict";
import { test } from "node:test";
import { pairedRatios, spread } from "./statistics.ts";

test("spread() gives the middle of an odd and the mean of the two middles of an even number of values", () => {
  assert.deepEqual(spread([3, 1, 2]), { median: 2, min: 1, max: 3 });
  assert.deepEqual(spread([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4 });
});

test("spread() throws when there is nothing to spread", () => {
  assert.throws(() => spread([]), RangeError);
});

test("pairedRatios() divides block by block, so that a slow block counts for both sides", () => {
  assert.deepEqual(pairedRatios([2, 20], [1, 10]), { median: 2, min: 2, max: 2 });
});
