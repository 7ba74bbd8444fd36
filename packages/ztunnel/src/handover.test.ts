// One proxy follows another while connections come all the time: none of them may notice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "@ambit/testkit";
import { connect, echoOn, exchange, twoPods, VIP } from "./testing/traffic.ts";

/** Well above what a drain takes here. */
const LONG_DEADLINE = { CONNECTION_TERMINATION_DEADLINE: "60s" };
const HANDOVERS = 4;

test("ztunnel hands over to its successor without failing any connection", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  let current = await lab.startZtunnel(LONG_DEADLINE);
  let isOver = false;
  let succeeded = 0;
  const failures: string[] = [];
  const ask = async (name: string) => {
    for (let i = 0; !isOver; i++) {
      const text = `${name} ${i}`;
      try {
        assert.equal(String(await exchange(connect(t, client.netns, VIP, 80), text)), text);
        succeeded++;
      } catch (error) {
        failures.push(`${text}: ${String(error)}`);
      }
    }
  };
  const loops = ["a", "b", "c", "d"].map(ask);
  for (let i = 0; i < HANDOVERS; i++) {
    const next = await lab.startZtunnel(LONG_DEADLINE);
    await current.stop();
    const before = succeeded;
    await eventually(() => succeeded > before + 20);
    current = next;
  }
  isOver = true;
  await Promise.all(loops);
  const reasons = lab
    .logs()
    .split("\n")
    .filter((line) => line.includes("error="));
  assert.deepEqual(failures, [], reasons.join("\n"));
  assert.deepEqual(reasons, []);
});
