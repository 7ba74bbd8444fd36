import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { silentLogger } from "@ambit/core";
import { eventually } from "@ambit/testkit";
import { agentParts } from "../testing/agent-parts.ts";
import { DriftCheck } from "./drift-check.ts";
import type { EnsureOutcome } from "./redirector.ts";

/** One enrolled pod, and a kernel that answers each look at its rules with the next of `outcomes`. */
async function enrolled(t: TestContext, outcomes: (EnsureOutcome | Error)[]) {
  const parts = agentParts();
  const stop = new AbortController();
  parts.kube.setNamespace("default", { "istio.io/dataplane-mode": "ambient" });
  parts.kube.setPod({ name: "a", ip: "10.0.0.1" });
  parts.watcher.start(stop.signal);
  t.after(() => {
    stop.abort();
    parts.snapshot.closeAll();
  });
  await eventually(() => parts.snapshot.list()[0]?.complete === true);
  const broken: string[] = [];
  let rounds = 0;
  const check = new DriftCheck(
    {
      ...parts,
      redirector: {
        ensure: async () => {
          const outcome = outcomes.shift() ?? "unchanged";
          if (outcome instanceof Error) throw outcome;
          return outcome;
        },
      },
      hostProbes: {
        ensure: async () => {
          rounds++;
          return false;
        },
        replaceAll: async () => {},
      },
      logger: silentLogger,
      onBroken: (pod) => void broken.push(pod.name),
    },
    { intervalMs: 30_000 },
  );
  return { ...parts, check, broken, stop, rounds: () => rounds };
}

test("DriftCheck counts what it repaired and says nothing about what is right", async (t) => {
  const { check, metrics, broken } = await enrolled(t, ["unchanged", "repaired"]);
  await check.runOnce();
  assert.equal(metrics.value("redirectionDrift"), 0);
  await check.runOnce();
  assert.equal(metrics.value("redirectionDrift"), 1);
  assert.deepEqual(broken, []);
});

test("DriftCheck hands a pod that cannot be repaired to the watcher and no longer calls it complete", async (t) => {
  const { check, metrics, broken, snapshot } = await enrolled(t, [new Error("no space left")]);
  await check.runOnce();
  assert.equal(metrics.value("redirectionDrift"), 1);
  assert.deepEqual(broken, ["a"]);
  assert.equal(snapshot.list()[0]?.complete, false);
});

test("DriftCheck.start() looks once per interval until it is stopped", async (t) => {
  const { check, clock, stop, rounds } = await enrolled(t, []);
  check.start(stop.signal);
  assert.equal(rounds(), 0);
  for (const round of [1, 2, 3]) {
    await eventually(() => {
      clock.advance(30_000);
      return rounds() >= round;
    });
  }
  stop.abort();
  await new Promise((resolve) => setImmediate(resolve));
  const after = rounds();
  clock.advance(90_000);
  assert.equal(rounds(), after);
});
