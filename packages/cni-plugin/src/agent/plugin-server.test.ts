import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type PodUid, silentLogger } from "@ambit/core";
import { eventually } from "@ambit/testkit";
import { type AgentParts, agentParts } from "../testing/agent-parts.ts";
import { createPluginServer } from "./plugin-server.ts";

const AMBIENT = { "istio.io/dataplane-mode": "ambient" };
const uid = "uid-a" as PodUid;
const ATTACHMENT = {
  Netns: "/proc/self/ns/net",
  PodName: "a",
  PodNamespace: "default",
  PodUID: "uid-a",
  ContainerID: "c1",
  IPs: [{ Interface: 2, Address: { IP: "10.0.0.1", Mask: "////AA==" }, Gateway: "10.0.0.254" }],
};

/** A pod `a` that is being started in a labelled namespace, and a server whose readiness the test may change. */
function serving(t: TestContext): AgentParts & {
  post: (path: string, body: unknown) => Promise<{ status: number; body: Record<string, unknown> }>;
  state: { ready: boolean };
} {
  const parts = agentParts();
  const state = { ready: true };
  const stop = new AbortController();
  parts.kube.setNamespace("default", AMBIENT);
  parts.kube.setPod({ name: "a", phase: "Pending" });
  parts.watcher.start(stop.signal);
  const server = createPluginServer({ ...parts, isReady: () => state.ready, logger: silentLogger });
  t.after(async () => {
    stop.abort();
    parts.snapshot.closeAll();
    await server.close();
  });
  const post = async (path: string, body: unknown) => {
    const response = await server.inject({ method: "POST", url: path, payload: body as object });
    return { status: response.statusCode, body: response.json() as Record<string, unknown> };
  };
  return { ...parts, post, state };
}

test("/cmdadd enrols: rules before proxy, so that nothing leaves unredirected; the watcher then annotates", async (t) => {
  const { post, steps, kube, snapshot, metrics } = serving(t);
  assert.deepEqual((await post("/cmdadd", ATTACHMENT)).status, 200);
  assert.deepEqual(steps, ["rules", "proxy", "probes"]);
  assert.equal(snapshot.get(uid)?.containerId, "c1");
  assert.equal(metrics.value("pluginRequests"), 1);
  await eventually(() => kube.annotationsOf("a")["ambient.istio.io/redirection"] === "enabled");
});

for (const failure of ["rules", "proxy"] as const) {
  test(`/cmdadd answers 500 and keeps nothing when ${failure} fails`, async (t) => {
    const { post, failing, snapshot } = serving(t);
    failing[failure] = "out of luck";
    const { status, body } = await post("/cmdadd", ATTACHMENT);
    assert.equal(status, 500);
    assert.equal(body["error"], "out of luck");
    assert.equal(snapshot.get(uid), undefined);
  });
}

test("/cmdadd says why a pod is not enrolled", async (t) => {
  const { post, kube, steps } = serving(t);
  kube.setNamespace("default");
  const { status, body } = await post("/cmdadd", ATTACHMENT);
  assert.equal(status, 200);
  assert.equal(body["enrolled"], false);
  assert.match(String(body["reason"]), /no enablement selector matches/);
  assert.deepEqual(steps, []);
});

test("/cmdadd waits for a pod that the agent does not know yet, and for the right one of that name", async (t) => {
  const { post, kube, snapshot } = serving(t);
  const adding = post("/cmdadd", { ...ATTACHMENT, PodUID: "uid-new" });
  await new Promise((resolve) => setImmediate(resolve));
  kube.setPod({ name: "a", uid: "uid-new", phase: "Pending" });
  assert.equal((await adding).status, 200);
  assert.notEqual(snapshot.get("uid-new" as PodUid), undefined);
});

test("/cmdadd fails closed when the pod stays unknown", async (t) => {
  const { post, clock } = serving(t);
  const adding = post("/cmdadd", { ...ATTACHMENT, PodName: "nobody", PodUID: "" });
  await eventually(() => {
    clock.advance(3000);
    return true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  clock.advance(3000);
  const { status, body } = await adding;
  assert.equal(status, 500);
  assert.equal(body["code"], "CNI_POD_UNKNOWN");
});

for (const [what, body, code, status] of [
  ["a body without a pod", { Netns: "/x" }, "CNI_REQUEST_INVALID", 400],
  ["an address that is none", { ...ATTACHMENT, IPs: [{ Address: { IP: "10.0.0" } }] }, "CNI_REQUEST_INVALID", 400],
  ["no address", { ...ATTACHMENT, IPs: null }, "CNI_REQUEST_INVALID", 400],
  ["a namespace that does not exist", { ...ATTACHMENT, Netns: "/var/run/netns/none" }, "CNI_NETNS_UNUSABLE", 500],
  ["a file that is no namespace", { ...ATTACHMENT, Netns: "/dev/null" }, "CNI_NETNS_UNUSABLE", 500],
] as const) {
  test(`/cmdadd refuses ${what}`, async (t) => {
    const { post, steps } = serving(t);
    const answer = await post("/cmdadd", body);
    assert.deepEqual([answer.status, answer.body["code"]], [status, code]);
    assert.deepEqual(steps, []);
  });
}

test("every request is answered 503 before the agent is ready", async (t) => {
  const { post, state } = serving(t);
  state.ready = false;
  for (const path of ["/cmdadd", "/cmdcheck", "/cmdstatus"]) assert.equal((await post(path, ATTACHMENT)).status, 503);
});

test("/cmddel removes by container, is idempotent, and spares the pod's next sandbox", async (t) => {
  const { post, snapshot, steps } = serving(t);
  await post("/cmdadd", ATTACHMENT);
  await post("/cmdadd", { ...ATTACHMENT, ContainerID: "c2" });
  const late = { ...ATTACHMENT, Netns: "", IPs: null };
  assert.equal((await post("/cmddel", late)).body["removed"], false);
  assert.equal(snapshot.get(uid)?.containerId, "c2");
  steps.length = 0;
  assert.equal((await post("/cmddel", { ...late, ContainerID: "c2" })).body["removed"], true);
  assert.equal((await post("/cmddel", { ...late, ContainerID: "c2" })).body["removed"], false);
  assert.deepEqual(steps, ["probes removed", "proxy removed"]);
});

test("/cmdcheck reports a pod that is not in the mesh and one whose rules differ", async (t) => {
  const { post, failing, kube } = serving(t);
  assert.equal((await post("/cmdcheck", ATTACHMENT)).body["code"], "CNI_POD_NOT_ENROLLED");
  await post("/cmdadd", ATTACHMENT);
  assert.equal((await post("/cmdcheck", ATTACHMENT)).status, 200);
  failing.rules = "nat ISTIO_OUTPUT is missing";
  assert.match(String((await post("/cmdcheck", ATTACHMENT)).body["error"]), /ISTIO_OUTPUT is missing/);
  kube.setNamespace("default");
  assert.equal((await post("/cmdcheck", ATTACHMENT)).status, 200);
});

test("/cmdgc removes sandboxes that the runtime does not list, and none that it never named to us", async (t) => {
  const { post, snapshot, kube } = serving(t);
  await post("/cmdadd", ATTACHMENT);
  kube.setPod({ name: "b", ip: "10.0.0.2" });
  await eventually(() => snapshot.get("uid-b" as PodUid)?.complete === true);
  assert.equal((await post("/cmdgc", { ValidContainerIDs: ["c1"] })).body["removed"], 0);
  assert.equal((await post("/cmdgc", { ValidContainerIDs: [] })).body["removed"], 1);
  assert.deepEqual(
    snapshot.list().map((pod) => pod.name),
    ["b"],
  );
});
