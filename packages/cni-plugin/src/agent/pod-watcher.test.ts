import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { PodUid } from "@ambit/core";
import { eventually } from "@ambit/testkit";
import { type AgentParts, agentParts } from "../testing/agent-parts.ts";

const AMBIENT = { "istio.io/dataplane-mode": "ambient" };
const REDIRECTION = "ambient.istio.io/redirection";
const PROBLEM = "ambit.dev/redirection-problem";
const uid = "uid-a" as PodUid;

/** A running pod `a` in namespace `default` that is not in the mesh, and a watcher that runs until the test ends. */
function started(t: TestContext, prepare: (parts: AgentParts) => void = () => {}): AgentParts {
  const parts = agentParts();
  parts.kube.setNamespace("default");
  parts.kube.setPod({ name: "a", ip: "10.0.0.1" });
  prepare(parts);
  const stop = new AbortController();
  t.after(() => {
    stop.abort();
    parts.snapshot.closeAll();
  });
  parts.watcher.start(stop.signal);
  return parts;
}

test("PodWatcher enrols a running pod when its namespace is labelled: proxy before rules, then says so on the pod", async (t) => {
  const { kube, steps, snapshot, metrics } = started(t);
  kube.setNamespace("default", AMBIENT);
  await eventually(() => kube.annotationsOf("a")[REDIRECTION] === "enabled");
  assert.deepEqual(steps, ["proxy", "probes", "rules"]);
  assert.equal(snapshot.get(uid)?.serviceAccount, "sa-a");
  assert.equal(metrics.value("podsEnrolled"), 1);
});

test("PodWatcher takes a running pod out when the label goes: rules before proxy, then the annotation", async (t) => {
  const { kube, steps, snapshot } = started(t, ({ kube }) => kube.setNamespace("default", AMBIENT));
  await eventually(() => kube.annotationsOf("a")[REDIRECTION] === "enabled");
  steps.length = 0;
  kube.setNamespace("default");
  await eventually(() => kube.annotationsOf("a")[REDIRECTION] === undefined);
  assert.deepEqual(steps, ["probes removed", "rules removed", "proxy removed"]);
  assert.equal(snapshot.get(uid), undefined);
});

test("PodWatcher forgets a deleted pod without touching its rules", async (t) => {
  const { kube, steps, snapshot } = started(t, ({ kube }) => kube.setNamespace("default", AMBIENT));
  await eventually(() => snapshot.get(uid)?.complete === true);
  steps.length = 0;
  await kube.delete({ kind: "Pod", namespace: "default", name: "a" });
  await eventually(() => snapshot.get(uid) === undefined);
  assert.deepEqual(steps, ["probes removed", "proxy removed"]);
});

test("PodWatcher forgets a pod that ended for good", async (t) => {
  const { kube, steps, snapshot } = started(t, ({ kube }) => kube.setNamespace("default", AMBIENT));
  await eventually(() => kube.annotationsOf("a")[REDIRECTION] === "enabled");
  steps.length = 0;
  kube.setPod({ name: "a", phase: "Succeeded", annotations: kube.annotationsOf("a") });
  await eventually(() => kube.annotationsOf("a")[REDIRECTION] === undefined);
  assert.deepEqual(steps, ["probes removed", "proxy removed"]);
  assert.equal(snapshot.get(uid), undefined);
});

for (const [what, failure, state] of [
  ["rules cannot be written", "rules", "pending"],
  ["no proxy is connected", "proxy", "pending"],
  ["the network namespace is not found", "find", undefined],
] as const) {
  test(`PodWatcher tries for ever when ${what}, and the pod says so`, async (t) => {
    const { kube, failing, clock, metrics, watcher } = started(t, ({ failing }) => {
      failing[failure] = "out of luck";
    });
    kube.setNamespace("default", AMBIENT);
    await eventually(() => kube.annotationsOf("a")[PROBLEM] === "out of luck");
    assert.equal(kube.annotationsOf("a")[REDIRECTION], state);
    assert.match(watcher.problems().get(uid) ?? "", /out of luck/);
    for (let tries = metrics.value("enrolmentFailures"); tries < 12; tries++) {
      clock.advance(6000);
      await eventually(() => metrics.value("enrolmentFailures") > tries);
    }
    assert.equal(metrics.value("podsNotEnrolled"), 1);
    failing[failure] = undefined;
    clock.advance(6000);
    await eventually(() => kube.annotationsOf("a")[REDIRECTION] === "enabled");
    assert.equal(kube.annotationsOf("a")[PROBLEM], undefined);
    assert.equal(metrics.value("podsNotEnrolled"), 0);
  });
}

test("PodWatcher waits for the plugin when a new pod has no address yet", async (t) => {
  const { kube, steps, watcher } = started(t, ({ kube }) => kube.setNamespace("default", AMBIENT));
  await eventually(() => kube.annotationsOf("a")[REDIRECTION] === "enabled");
  steps.length = 0;
  kube.setPod({ name: "b", phase: "Pending" });
  kube.setPod({ name: "c", ip: "10.0.0.3", node: "another-node" });
  kube.setPod({ name: "d", ip: "10.0.0.4", deleting: true });
  watcher.reconcileSoon(uid);
  await eventually(() => kube.annotationsOf("a")[REDIRECTION] === "enabled");
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(steps, []);
});

test("PodWatcher follows a change of the pod's addresses", async (t) => {
  const { kube, steps, snapshot } = started(t, ({ kube }) => kube.setNamespace("default", AMBIENT));
  await eventually(() => kube.annotationsOf("a")[REDIRECTION] === "enabled");
  steps.length = 0;
  kube.setPod({ name: "a", ip: "10.0.0.9", annotations: kube.annotationsOf("a") });
  await eventually(() => snapshot.get(uid)?.ips[0] === "10.0.0.9" && steps.length === 2);
  assert.deepEqual(steps, ["probes", "probes removed"]);
});

test("PodWatcher cleans a pod that left the mesh while no agent ran", async (t) => {
  const { kube, steps, opened } = started(t, ({ kube }) =>
    kube.setPod({ name: "a", ip: "10.0.0.1", annotations: { [REDIRECTION]: "enabled" } }),
  );
  await eventually(() => kube.annotationsOf("a")[REDIRECTION] === undefined);
  assert.deepEqual(steps, ["rules removed"]);
  assert.equal(opened.length, 1);
});

test("PodWatcher keeps an enrolled pod known when its rules cannot be removed, and tries again", async (t) => {
  const { kube, failing, snapshot, clock } = started(t, ({ kube }) => kube.setNamespace("default", AMBIENT));
  await eventually(() => kube.annotationsOf("a")[REDIRECTION] === "enabled");
  failing.removal = "device busy";
  kube.setNamespace("default");
  await eventually(() => kube.annotationsOf("a")[PROBLEM] === "device busy");
  assert.notEqual(snapshot.get(uid), undefined);
  failing.removal = undefined;
  clock.advance(6000);
  await eventually(() => snapshot.get(uid) === undefined && kube.annotationsOf("a")[REDIRECTION] === undefined);
});
