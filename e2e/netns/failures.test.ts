// What breaks: proxies, agents and the control plane die, addresses change hands, pods come and go. Nothing is ever sent in plaintext.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "@ambit/testkit";
import { loadFrom, type Mesh, meshForFile, NAMESPACE, POLICY_OF, policyFor, serviceFor, webServer } from "./mesh.ts";

const URL = "http://web/details/0";
const PATIENCE = { timeoutMs: 30_000, intervalMs: 100 } as const;

const mesh = meshForFile(async (mesh) => {
  await mesh.apply(serviceFor("web"), {
    apiVersion: "security.istio.io/v1",
    kind: "PeerAuthentication",
    metadata: { name: "default", namespace: NAMESPACE },
    spec: { mtls: { mode: "STRICT" } },
  });
  await mesh.pods({ name: "client", node: "node-a" }, webServer("web", "node-b"));
  await mesh.eventuallyFetches("client", URL, true);
});

async function component(of: Mesh, name: string, node: string) {
  const { nodes, controlPlane } = await of.client.state();
  const found = [...nodes, controlPlane]
    .flatMap(({ components }) => components)
    .find((one) => one.component === name && one.node === node);
  if (found === undefined) throw new Error(`There is no ${name} on ${node}`);
  return found;
}

/** Kills and waits until the supervisor has started it again and it is ready. */
async function killed(name: string, node: string): Promise<void> {
  const { restarts } = await component(mesh, name, node);
  await mesh.client.kill({ component: name, node, signal: "SIGKILL" });
  await eventually(async () => {
    const now = await component(mesh, name, node);
    return now.restarts > restarts && now.ready;
  }, PATIENCE);
}

async function removed(name: string): Promise<void> {
  await mesh.client.delete({ kind: "Pod", namespace: NAMESPACE, name });
  await eventually(async () => !(await mesh.client.state()).pods.some((pod) => pod.name === name), PATIENCE);
}

for (const [name, node] of [
  ["ztunnel", "node-a"],
  ["ztunnel", "node-b"],
  ["agent", "node-b"],
  ["istiod-lite", "control-plane"],
] as const) {
  test(`after ${name} on ${node} was killed, connections work again and pods are still enrolled`, async () => {
    await killed(name, node);
    await mesh.eventuallyFetches("client", URL, true);
    assert.equal((await mesh.pod("client")).redirection, "enabled");
    assert.equal((await mesh.pod("web")).redirection, "enabled");
  });
}

test("while the control plane is down, what is there goes on", async () => {
  const { restarts } = await component(mesh, "istiod-lite", "control-plane");
  await mesh.client.kill({ component: "istiod-lite", node: "control-plane", signal: "SIGKILL" });
  assert.equal((await mesh.fetch("client", URL)).status, 200);
  await eventually(async () => {
    const now = await component(mesh, "istiod-lite", "control-plane");
    return now.restarts > restarts && now.ready;
  }, PATIENCE);
});

test("a pod that starts while its node's agent is dead does not run before the agent is back", async () => {
  await mesh.client.kill({ component: "agent", node: "node-a", signal: "SIGSTOP" });
  try {
    await mesh.apply({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "late", namespace: NAMESPACE, labels: { app: "late" } },
      spec: {
        nodeName: "node-a",
        serviceAccountName: "client",
        containers: [{ name: "main", image: "ambit/bookinfo:0.1.0", command: ["node", "src/main.ts", "client"] }],
      },
    });
    await eventually(async () => {
      const log = await mesh.client.logs("labd");
      return /CNI ADD of pod app\/late failed/.test(log);
    }, PATIENCE);
    assert.equal((await mesh.pod("late")).ready, false);
  } finally {
    await mesh.client.kill({ component: "agent", node: "node-a", signal: "SIGCONT" });
  }
  await eventually(async () => {
    const pod = await mesh.pod("late");
    return pod.ready && pod.redirection === "enabled";
  }, PATIENCE);
  assert.equal((await mesh.fetch("late", URL)).status, 200);
  await removed("late");
});

test("an address that another identity takes over is judged by the new one", async (t) => {
  t.after(() => mesh.client.delete(POLICY_OF("web")));
  await mesh.apply(policyFor("web", "ALLOW", { from: [{ source: { principals: ["cluster.local/ns/app/sa/trusted"] } }] }));
  const [first] = await mesh.pods({ name: "first", node: "node-a", serviceAccount: "trusted" });
  await mesh.eventuallyFetches("first", URL, true);
  await removed("first");
  const [second] = await mesh.pods({ name: "second", node: "node-a", serviceAccount: "stranger" });
  assert.deepEqual(second?.ips, first?.ips);
  assert.equal((await mesh.fetch("second", URL)).status, 0);
  await removed("second");
});

test("pods that come and go under load cost no other connection", async () => {
  await mesh.eventuallyFetches("client", URL, true);
  const running = loadFrom(mesh, "client", URL, 6_000);
  for (let round = 0; round < 3; round++) {
    await mesh.pods({ name: `guest-${round}`, node: "node-a" }, { name: `visitor-${round}`, node: "node-b" });
    await mesh.client.delete({ kind: "Pod", namespace: NAMESPACE, name: `guest-${round}` });
    await mesh.client.delete({ kind: "Pod", namespace: NAMESPACE, name: `visitor-${round}` });
  }
  const { calls, failed } = await running;
  assert.ok(calls > 20, `only ${calls} calls were made`);
  assert.equal(failed, 0);
});

test("a file with bad YAML is reported with its place, and everything else goes on", async () => {
  await assert.rejects(mesh.client.apply({ yaml: "kind: [", file: "broken.yaml" }), { code: "LAB_OBJECT_REFUSED" });
  const problems = await mesh.client.controlPlane("/debug/problems");
  assert.doesNotMatch(problems, /broken/);
  assert.equal((await mesh.fetch("client", URL)).status, 200);
});
