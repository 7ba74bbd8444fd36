import assert from "node:assert/strict";
import { test } from "node:test";
import { TimerHeap } from "./timers.ts";

test("TimerHeap fires in order of deadline, then of making, and forgets what was cancelled", () => {
  const heap = new TimerHeap();
  const fired: number[] = [];
  const expected: { deadline: number; serial: number }[] = [];
  for (let serial = 0; serial < 2_000; serial++) {
    const deadline = Math.floor(Math.random() * 500);
    const timer = heap.add(deadline, () => fired.push(serial));
    if (serial % 3 === 0) timer.cancel();
    else expected.push({ deadline, serial });
  }
  assert.equal(heap.earliestMs, Math.min(...expected.map((timer) => timer.deadline)));
  for (let now = 0; now <= 510; now += 7) heap.runDue(now);
  expected.sort((a, b) => a.deadline - b.deadline || a.serial - b.serial);
  assert.deepEqual(
    fired,
    expected.map((timer) => timer.serial),
  );
  assert.equal(heap.size, 0);
});

test("TimerHeap.runDue() leaves a timer that a timer made to the next call, and lets one cancel another", () => {
  const heap = new TimerHeap();
  const fired: string[] = [];
  heap.add(0, () => {
    fired.push("first");
    heap.add(0, () => fired.push("made by first"));
    second.cancel();
  });
  const second = heap.add(0, () => fired.push("second"));
  heap.runDue(1);
  assert.deepEqual(fired, ["first"]);
  heap.runDue(1);
  assert.deepEqual(fired, ["first", "made by first"]);
});
