import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, silentLogger } from "@ambit/core";
import { eventually } from "@ambit/testkit";
import { Loop } from "./loop.ts";

test("trigger() while the work runs makes it run once more, never beside itself", async () => {
  let runs = 0;
  let running = 0;
  let atMost = 0;
  const gates: (() => void)[] = [];
  const loop = new Loop(
    "test",
    async () => {
      runs++;
      atMost = Math.max(atMost, ++running);
      await new Promise<void>((resolve) => gates.push(resolve));
      running--;
    },
    silentLogger,
  );
  loop.trigger();
  loop.trigger();
  loop.trigger();
  gates.shift()?.();
  await eventually(() => gates.length === 1);
  gates.shift()?.();
  await loop.stop();
  assert.deepEqual([runs, atMost], [2, 1]);
  loop.trigger();
  assert.equal(runs, 2);
});

test("trigger() in the moment in which the work ends is not lost", async () => {
  let runs = 0;
  let asked = 0;
  const loop: Loop = new Loop("test", async () => void runs++, silentLogger);
  const askAgain = () => {
    if (asked++ < 20) {
      loop.trigger();
      queueMicrotask(askAgain);
    }
  };
  loop.trigger();
  askAgain();
  await eventually(() => asked > 20);
  const before = runs;
  loop.trigger();
  await eventually(() => runs > before);
  await loop.stop();
});

test("work that fails is tried again after a pause, and sooner when something changed", async () => {
  const clock = new ManualClock();
  let runs = 0;
  const loop = new Loop(
    "test",
    async () => {
      if (++runs < 3) throw new Error("not yet");
    },
    silentLogger,
    clock,
  );
  loop.trigger();
  await eventually(() => runs === 1);
  await eventually(() => {
    clock.advance(1_000);
    return runs === 2;
  });
  loop.trigger();
  await eventually(() => runs === 3);
  await loop.stop();
});
