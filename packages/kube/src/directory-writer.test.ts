import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { DirectorySource } from "./directory-source.ts";
import { DirectoryWriter } from "./directory-writer.ts";

const pod = (name: string, extra: object = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "ns", ...extra },
  spec: { containers: [{ name: "c", image: "x" }] },
});

function store(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), "kube-writer-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return { directory, writer: new DirectoryWriter(directory) };
}

async function read(directory: string, name: string) {
  const stop = new AbortController();
  const source = new DirectorySource({ directory });
  await source.start(stop.signal);
  stop.abort();
  return source.get("Pod", "ns", name);
}

test("patch() merges into the object wherever it stands, and keeps its file's other documents and comments", async (t) => {
  const { directory, writer } = store(t);
  mkdirSync(join(directory, "manifests"));
  const file = join(directory, "manifests", "all.yaml");
  writeFileSync(file, `# first\n${JSON.stringify(pod("a"))}\n---\n# second\n${JSON.stringify(pod("b"))}\n`);
  const patch = { metadata: { annotations: { "ambient.istio.io/redirection": "enabled" } } };
  await writer.patch({ kind: "Pod", namespace: "ns", name: "a" }, patch);
  assert.deepEqual((await read(directory, "a"))?.metadata.annotations, { "ambient.istio.io/redirection": "enabled" });
  assert.ok(await read(directory, "b"));
  assert.match(readFileSync(file, "utf8"), /# second/);
  await writer.patch(
    { kind: "Pod", namespace: "ns", name: "a" },
    { metadata: { annotations: { "ambient.istio.io/redirection": null } } },
  );
  assert.deepEqual((await read(directory, "a"))?.metadata.annotations, {});
});

test("apply() keeps status and annotations that others wrote", async (t) => {
  const { directory, writer } = store(t);
  await writer.apply(pod("a", { uid: "u1" }));
  await writer.patch(
    { kind: "Pod", namespace: "ns", name: "a" },
    { status: { phase: "Running" }, metadata: { annotations: { x: "1" } } },
  );
  await writer.apply(pod("a", { labels: { app: "a" }, annotations: { y: "2" } }));
  const object = await read(directory, "a");
  assert.deepEqual(object?.metadata.annotations, { x: "1", y: "2" });
  assert.equal(object?.metadata.uid, "u1");
  assert.deepEqual(object?.["status"], { phase: "Running" });
});

test("apply() and patch() refuse what the kind's schema refuses, and patch() what does not exist", async (t) => {
  const { writer } = store(t);
  await assert.rejects(writer.apply({ apiVersion: "v1", kind: "Pod", metadata: { name: "a" }, spec: {} }), {
    code: "KUBE_OBJECT_INVALID",
  });
  await assert.rejects(writer.patch({ kind: "Pod", namespace: "ns", name: "a" }, {}), { code: "KUBE_NOT_FOUND" });
});

test("delete() removes one document, the file with the last one, and is idempotent", async (t) => {
  const { directory, writer } = store(t);
  writeFileSync(join(directory, "all.yaml"), `${JSON.stringify(pod("a"))}\n---\n${JSON.stringify(pod("b"))}\n`);
  await writer.delete({ kind: "Pod", namespace: "ns", name: "a" });
  assert.equal(await read(directory, "a"), undefined);
  assert.ok(await read(directory, "b"));
  await writer.delete({ kind: "Pod", namespace: "ns", name: "b" });
  await writer.delete({ kind: "Pod", namespace: "ns", name: "b" });
});

test("patch() loses nothing when many writers change one object at once", async (t) => {
  const { directory, writer } = store(t);
  await writer.apply(pod("a"));
  const writers = [writer, new DirectoryWriter(directory), new DirectoryWriter(directory)];
  await Promise.all(
    Array.from({ length: 30 }, (_, i) =>
      writers[i % 3]?.patch({ kind: "Pod", namespace: "ns", name: "a" }, { metadata: { annotations: { [`k${i}`]: "v" } } }),
    ),
  );
  assert.equal(Object.keys((await read(directory, "a"))?.metadata.annotations ?? {}).length, 30);
});

test("patch() takes over the lock of a process that died holding it", async (t) => {
  const { directory, writer } = store(t);
  await writer.apply(pod("a"));
  writeFileSync(join(directory, ".lock"), "999999999");
  await writer.patch({ kind: "Pod", namespace: "ns", name: "a" }, { metadata: { labels: { x: "y" } } });
  assert.deepEqual((await read(directory, "a"))?.metadata.labels, { x: "y" });
});
