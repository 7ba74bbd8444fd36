// A node proxy with nothing to do.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { echoOn, twoPods, workloadOf } from "./testing/traffic.ts";

const WINDOW_MS = 10_000;
/** Of 10 ms each: half a per cent of one core. */
const MAX_TICKS = 5;

/** utime and stime in ticks. proc_pid_stat(5), fields 14 and 15. */
function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

test("ztunnel uses no processor time while nothing happens", async (t) => {
  const { lab, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  for (const [name, number] of [
    ["third", 3],
    ["fourth", 4],
    ["fifth", 5],
  ] as const) {
    lab.controlPlane.setWorkload(workloadOf(await lab.addPod(name, number)).build());
  }
  const { process } = await lab.startZtunnel();
  const pid = process.pid;
  assert.ok(pid !== undefined);
  // The engine compiles and collects for a while after the start.
  await sleep(5_000);
  const before = ticksOf(pid);
  await sleep(WINDOW_MS);
  const used = ticksOf(pid) - before;
  assert.ok(used <= MAX_TICKS, `${used} ticks in ${WINDOW_MS} ms`);
});
