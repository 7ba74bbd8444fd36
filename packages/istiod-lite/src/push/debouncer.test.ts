import assert from "node:assert/strict";
import { test } from "node:test";
import { ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL } from "@ambit/api";
import { ManualClock } from "@ambit/core";
import { Debouncer } from "./debouncer.ts";
import { PendingPush } from "./pending-push.ts";

const address = (...names: string[]) => new Map([[ADDRESS_TYPE_URL, new Set(names)] as const]);

function setUp() {
  const clock = new ManualClock();
  const pushes: { at: number; since: number; names: string[] }[] = [];
  const debouncer = new Debouncer(clock, { quietMs: 100, maxMs: 250 }, (changed, since) =>
    pushes.push({ at: clock.nowMs(), since, names: [...changed.values()].flatMap((names) => [...names]) }),
  );
  return { clock, pushes, debouncer };
}

test("Debouncer makes one push of changes that follow each other", () => {
  const { clock, pushes, debouncer } = setUp();
  debouncer.add(address("a"));
  clock.advance(60);
  debouncer.add(address("b", "a"));
  clock.advance(99);
  assert.deepEqual(pushes, []);
  clock.advance(1);
  assert.deepEqual(pushes, [{ at: 160, since: 0, names: ["a", "b"] }]);
});

test("Debouncer lets no change wait longer than the maximum", () => {
  const { clock, pushes, debouncer } = setUp();
  for (let i = 0; i < 6; i++) {
    debouncer.add(address(`n${i}`));
    clock.advance(60);
  }
  assert.deepEqual(
    pushes.map(({ at, names }) => [at, names.length]),
    [[250, 5]],
  );
});

test("PendingPush merges what comes before it is taken, and keeps the time of the oldest", () => {
  const pending = new PendingPush();
  pending.add(address("a"), 10);
  pending.add(new Map([[AUTHORIZATION_TYPE_URL, new Set(["p"])]]), 20);
  pending.add(address("b"), 30);
  const { changed, sinceMs } = pending.take();
  assert.deepEqual([[...(changed.get(ADDRESS_TYPE_URL) ?? [])], sinceMs, pending.isEmpty], [["a", "b"], 10, true]);
});
