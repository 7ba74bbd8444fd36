import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "@ambit/testkit";
import { Lab } from "../host/lab.ts";

const SERVER = `require("node:http").createServer((_, response) => response.end("hello")).listen(8080)`;
const IDLE = "setInterval(() => {}, 1000)";

function pod(name: string, node: string, program: string): string {
  const end = `process.on("SIGTERM", () => process.exit(0));`;
  return `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: shop, labels: {app: ${name}}}
spec:
  serviceAccountName: ${name}
  nodeName: ${node}
  containers: [{name: main, image: ambit/machine, command: [node, -e, ${JSON.stringify(end + program)}]}]
`;
}

const MANIFEST = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: shop}
spec: {selector: {app: far}, ports: [{port: 80, targetPort: 8080}]}
${pod("cart", "node-a", IDLE)}${pod("near", "node-a", SERVER)}${pod("far", "node-b", SERVER)}`;

test("POST /prove shows plaintext before the mesh, and TLS with both identities in it, on the wire and on one node", async (t) => {
  const parent = mkdtempSync(join(tmpdir(), "prove-"));
  t.after(() => rmSync(parent, { recursive: true }));
  const lab = await Lab.start({ directory: join(parent, "lab") });
  t.after(() => lab.stop());
  const { client } = lab;
  await client.apply({ yaml: MANIFEST, file: "shop.yaml" });
  const shop = async () => (await client.state()).pods.filter(({ namespace }) => namespace === "shop");
  const pods = await eventually(
    async () => {
      const found = await shop();
      return found.length === 3 && found.every(({ ready }) => ready) ? found : false;
    },
    { timeoutMs: 30_000 },
  );
  const nearIp = pods.find(({ name }) => name === "near")?.ips[0];
  const ask = (url: string) => client.prove({ namespace: "shop", pod: "cart", url });
  const answered = (url: string) =>
    eventually(
      async () => {
        const report = await ask(url);
        return report.isAnswered ? report : false;
      },
      { timeoutMs: 30_000 },
    );

  const plain = await answered("http://far/");
  assert.deepEqual([plain.isMarkerReadable, plain.isEncrypted, plain.isProven, plain.capturedOn], [true, false, false, "wire"]);
  assert.deepEqual([...new Set(plain.connections.map(({ kind }) => kind))], ["plaintext"]);

  const patch = { metadata: { labels: { "istio.io/dataplane-mode": "ambient" } } };
  await client.patch({ kind: "Namespace", namespace: "", name: "shop", patch });
  await eventually(async () => (await shop()).every(({ redirection }) => redirection === "enabled"), { timeoutMs: 30_000 });
  for (const [url, place, server] of [
    ["http://far/?q=1", "wire", "far"],
    [`http://${nearIp}:8080/`, "cable", "near"],
    ["tcp://far:80", "wire", "far"],
  ] as const) {
    const proof = await answered(url);
    assert.deepEqual(proof.notes, [], url);
    assert.deepEqual([proof.isProven, proof.isEncrypted, proof.isMarkerAbsent, proof.capturedOn], [true, true, true, place], url);
    assert.equal(proof.clientIdentity, "spiffe://cluster.local/ns/shop/sa/cart");
    assert.equal(proof.serverIdentity, `spiffe://cluster.local/ns/shop/sa/${server}`);
  }

  const nowhere = await ask("http://nowhere/");
  assert.deepEqual([nowhere.isAnswered, nowhere.isProven, nowhere.connections.length], [false, false, 0]);
  await assert.rejects(ask("ftp://far/"), { code: "LAB_REQUEST_INVALID" });
  await assert.rejects(client.prove({ namespace: "shop", pod: "nobody", url: "http://far/" }), { code: "LAB_NOT_FOUND" });
});
