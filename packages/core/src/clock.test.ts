import assert from "node:assert/strict";
import test from "node:test";
import { ManualClock, realClock } from "./clock.ts";

test("ManualClock.advance() runs due timers in time order, each at its own time", () => {
  const clock = new ManualClock(1000);
  const seen: [string, number][] = [];
  clock.after(30, () => seen.push(["c", clock.nowMs()]));
  clock.after(10, () => seen.push(["a", clock.nowMs()]));
  clock.after(10, () => seen.push(["b", clock.nowMs()]));
  clock.advance(29);
  assert.deepEqual(seen, [
    ["a", 1010],
    ["b", 1010],
  ]);
  assert.equal(clock.nowMs(), 1029);
  clock.advance(1);
  assert.deepEqual(seen.at(-1), ["c", 1030]);
});

test("ManualClock.advance() runs timers that a timer starts, when they fall due within the step", () => {
  const clock = new ManualClock();
  const seen: number[] = [];
  const tick = () => {
    seen.push(clock.nowMs());
    clock.after(10, tick);
  };
  clock.after(10, tick);
  clock.advance(35);
  assert.deepEqual(seen, [10, 20, 30]);
});

test("ManualClock timers do not fire after cancel, also when cancelled by an earlier timer of the same step", () => {
  const clock = new ManualClock();
  let fired = false;
  const timer = clock.after(20, () => {
    fired = true;
  });
  clock.after(10, () => timer.cancel());
  clock.advance(100);
  assert.equal(fired, false);
});

test("ManualClock timers with a negative delay are due at once and never move time back", () => {
  const clock = new ManualClock(5);
  let at = -1;
  clock.after(-10, () => {
    at = clock.nowMs();
  });
  clock.advance(0);
  assert.equal(at, 5);
});

test("realClock.after() fires once, does not fire after cancel, and takes delays beyond the runtime's limit", async () => {
  const seen: string[] = [];
  const far = realClock.after(Number.MAX_SAFE_INTEGER, () => seen.push("far"));
  const cancelled = realClock.after(1, () => seen.push("cancelled"));
  cancelled.cancel();
  await new Promise<void>((resolve) => {
    realClock.after(2, resolve);
    // The clock's own timers do not keep the process alive; this one does for as long as the test waits.
    const keepAlive = setTimeout(() => {}, 5000);
    realClock.after(2, () => clearTimeout(keepAlive));
  });
  far.cancel();
  assert.deepEqual(seen, []);
  assert.ok(Math.abs(realClock.nowMs() - Date.now()) < 1000);
});
