// Certificates in a running mesh: renewed under load, used to their end when nobody renews them, refused after it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "@ambit/testkit";
import { loadFrom, meshForFile, NODES, serviceFor, webServer } from "./mesh.ts";

const URL = "http://web/details/0";
const PATIENCE = { timeoutMs: 40_000, intervalMs: 200 } as const;

const mesh = meshForFile(
  async (mesh) => {
    await mesh.apply(serviceFor("web"));
    await mesh.pods({ name: "client", node: "node-a" }, webServer("web", "node-b"));
    await mesh.eventuallyFetches("client", URL, true);
  },
  { SECRET_TTL: "10s" },
);

/** Serial number of every leaf in use, by node and identity. */
async function serials(): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const node of NODES) {
    const dump = JSON.parse(await mesh.client.ztunnel(node, "/config_dump")) as {
      certificates: { identity: string; certChain: { serialNumber: string }[] }[];
    };
    for (const { identity, certChain } of dump.certificates) found.set(`${node} ${identity}`, certChain[0]?.serialNumber ?? "");
  }
  return found;
}

test("certificates are renewed under load without a failure", async () => {
  const before = await serials();
  const running = loadFrom(mesh, "client", URL, 12_000);
  await eventually(async () => {
    const now = await serials();
    return [...before].every(([key, serial]) => now.get(key) !== serial);
  }, PATIENCE);
  const { calls, failed } = await running;
  assert.ok(calls > 20, `only ${calls} calls were made`);
  assert.equal(failed, 0);
});

test("when nobody renews certificates they serve to their end, then connections are refused, and later work again", async () => {
  await mesh.client.kill({ component: "istiod-lite", node: "control-plane", signal: "SIGSTOP" });
  try {
    assert.equal((await mesh.fetch("client", URL)).status, 200);
    await mesh.eventuallyFetches("client", URL, false);
    await eventually(async () => {
      const lines = await mesh.accessLines("node-a");
      return lines.some((line) => line.includes("identity error: no certificate for spiffe://cluster.local/ns/app/sa/client"));
    }, PATIENCE);
  } finally {
    await mesh.client.kill({ component: "istiod-lite", node: "control-plane", signal: "SIGCONT" });
  }
  await mesh.eventuallyFetches("client", URL, true);
});
