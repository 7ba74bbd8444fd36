import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { DirectorySource, DirectoryWriter } from "@ambit/kube";
import { eventually } from "@ambit/testkit";
import { Manifests } from "./objects.ts";

async function store(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), "lab-objects-"));
  const stop = new AbortController();
  t.after(() => {
    stop.abort();
    rmSync(directory, { recursive: true });
  });
  const source = new DirectorySource({ directory });
  await source.start(stop.signal);
  const writer = new DirectoryWriter(directory);
  return { source, writer, manifests: new Manifests({ source, writer }) };
}

const namespace = (labels: string) => `apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {${labels}}}\n`;

test("apply() keeps labels that others have set, and removes those that the last manifest had", async (t) => {
  const { source, writer, manifests } = await store(t);
  const labels = () => source.get("Namespace", "", "shop")?.metadata.labels;
  await manifests.apply({ yaml: namespace("a: x, b: x"), file: "shop.yaml" });
  await eventually(() => assert.deepEqual(labels(), { a: "x", b: "x" }));
  await writer.patch({ kind: "Namespace", namespace: "", name: "shop" }, { metadata: { labels: { other: "x" } } });
  await eventually(() => labels()?.["other"] === "x");
  await manifests.apply({ yaml: namespace("b: y"), file: "shop.yaml" });
  await eventually(() => assert.deepEqual(labels(), { b: "y", other: "x" }));
});

test("apply() keeps a Service's address and a pod's node when their manifests are applied again", async (t) => {
  const { source, writer, manifests } = await store(t);
  const yaml = `${namespace("")}---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop}
spec: {containers: [{name: c}]}
`;
  await manifests.apply({ yaml, file: "shop.yaml" });
  await writer.patch({ kind: "Service", namespace: "shop", name: "web" }, { spec: { clusterIP: "10.96.0.9" } });
  await writer.patch({ kind: "Pod", namespace: "shop", name: "bare" }, { spec: { nodeName: "n1" } });
  const spec = (kind: string, name: string) => source.get(kind, "shop", name)?.["spec"] as Record<string, unknown> | undefined;
  await eventually(() => spec("Service", "web")?.["clusterIP"] === "10.96.0.9" && spec("Pod", "bare")?.["nodeName"] === "n1");
  const uid = source.get("Pod", "shop", "bare")?.metadata.uid;
  await manifests.apply({ yaml: yaml.replace("port: 80", "port: 81"), file: "shop.yaml" });
  await eventually(() => JSON.stringify(spec("Service", "web")?.["ports"]).includes("81"));
  assert.equal(spec("Service", "web")?.["clusterIP"], "10.96.0.9");
  assert.deepEqual([spec("Pod", "bare")?.["nodeName"], source.get("Pod", "shop", "bare")?.metadata.uid], ["n1", uid]);
});

test("delete() of a namespace takes along what is in it, and asks its pods to end", async (t) => {
  const { source, manifests } = await store(t);
  const account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop}\n";
  const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: bare, namespace: shop}\nspec: {containers: [{name: c}]}\n";
  await manifests.apply({ yaml: [namespace(""), account, pod].join("---\n"), file: "shop.yaml" });
  await eventually(() => source.get("Pod", "shop", "bare") !== undefined);
  await manifests.delete({ kind: "Namespace", namespace: "", name: "shop" });
  await eventually(
    () => source.get("Namespace", "", "shop") === undefined && source.get("ServiceAccount", "shop", "web") === undefined,
  );
  await eventually(() => source.get("Pod", "shop", "bare")?.metadata.deletionTimestamp !== undefined);
  await assert.rejects(manifests.delete({ kind: "Namespace", namespace: "", name: "shop" }), { code: "LAB_NOT_FOUND" });
});
