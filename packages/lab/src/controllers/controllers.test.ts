import assert from "node:assert/strict";
import { test } from "node:test";
import { deployment, pod, type RawObject, service, sourceOf } from "../objects.testing.ts";
import { deploymentWrites } from "./deployments.ts";
import { endpointSliceWrites } from "./endpoint-slices.ts";
import { schedulingWrites } from "./scheduler.ts";
import { serviceAddressWrites } from "./service-addresses.ts";
import type { Write } from "./write.ts";

const made = (writes: readonly Write[]): RawObject[] => writes.flatMap((write) => (write.type === "apply" ? [write.object] : []));
const patched = (writes: readonly Write[]) =>
  writes.flatMap((write) => (write.type === "patch" ? [[write.ref.name, write.patch] as const] : []));
const metadataOf = (object: RawObject | undefined) => (object?.["metadata"] ?? {}) as RawObject;
const nameOf = (object: RawObject | undefined) => metadataOf(object)["name"];
const readyPod = (object: RawObject): RawObject => ({
  ...object,
  status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
});

test("deploymentWrites() makes the pods that are missing, named and labelled as a ReplicaSet's", () => {
  const writes = made(deploymentWrites(sourceOf(deployment("web", 2)), () => "uid"));
  assert.equal(writes.length, 2);
  const { name, labels, ownerReferences, uid } = metadataOf(writes[0]) as {
    readonly name: string;
    readonly uid: string;
    readonly labels: Record<string, string>;
    readonly ownerReferences: readonly { readonly kind: string; readonly name: string }[];
  };
  const hash = labels["pod-template-hash"] ?? "";
  assert.match(name, new RegExp(`^web-${hash}-[a-z0-9]{5}$`));
  assert.deepEqual([uid, labels["app"]], ["uid", "web"]);
  assert.deepEqual([ownerReferences[0]?.kind, ownerReferences[0]?.name], ["ReplicaSet", `web-${hash}`]);
});

test("deploymentWrites() has nothing to do when all pods are there, and marks surplus ones that are not ready first", () => {
  const pods = made(deploymentWrites(sourceOf(deployment("web", 2)))).map(readyPod);
  assert.deepEqual(deploymentWrites(sourceOf(deployment("web", 2), ...pods)), []);
  const [first, second] = pods;
  const unready = { ...second, status: { phase: "Running" } };
  const writes = patched(deploymentWrites(sourceOf(deployment("web", 1), first ?? {}, unready)));
  assert.deepEqual(
    writes.map(([name]) => name),
    [nameOf(second)],
  );
});

test("deploymentWrites() keeps pods of the old template until all of the new one are ready, and ends those without a Deployment", () => {
  const old = made(deploymentWrites(sourceOf(deployment("web", 1)))).map(readyPod);
  const changed = deployment("web", 1, "ambit/bookinfo");
  const fresh = made(deploymentWrites(sourceOf(changed, ...old)));
  assert.equal(fresh.length, 1);
  assert.deepEqual(patched(deploymentWrites(sourceOf(changed, ...old, ...fresh))), []);
  const names = (writes: readonly Write[]) => patched(writes).map(([name]) => name);
  const oldName = nameOf(old[0]);
  assert.deepEqual(names(deploymentWrites(sourceOf(changed, ...old, ...fresh.map(readyPod)))), [oldName]);
  assert.deepEqual(names(deploymentWrites(sourceOf(...old))), [oldName]);
  assert.deepEqual(deploymentWrites(sourceOf(pod("bare"))), []);
});

test("schedulingWrites() takes the node that the selector names, else the one with the fewest pods, and says when none fits", () => {
  const selecting = (node: string) => ({ spec: { nodeSelector: { "kubernetes.io/hostname": node } } });
  const source = sourceOf(
    pod("a", { node: "n1" }),
    pod("b"),
    pod("c", selecting("n1")),
    pod("d"),
    pod("e", selecting("n9")),
    pod("f", { node: "n2", metadata: { uid: undefined } }),
  );
  const writes = new Map(patched(schedulingWrites(source, ["n1", "n2"], () => "new")));
  const nodeOf = (name: string) => (writes.get(name)?.["spec"] as { nodeName?: string } | undefined)?.nodeName;
  assert.deepEqual([nodeOf("b"), nodeOf("c"), nodeOf("d")], ["n1", "n1", "n2"]);
  assert.match(JSON.stringify(writes.get("e")), /Unschedulable.*n9/);
  assert.equal(metadataOf(writes.get("f"))["uid"], "new");
  assert.equal(writes.has("a"), false);
});

test("serviceAddressWrites() gives free addresses of both families, none to headless and external ones", () => {
  const source = sourceOf(
    service("first", { ports: [] }),
    service("second", { ports: [] }),
    service("given", { clusterIP: "10.96.0.11", ports: [] }),
    service("headless", { clusterIP: "None", ports: [] }),
    service("external", { type: "ExternalName", externalName: "example.com", ports: [] }),
  );
  const given = patched(serviceAddressWrites(source)).map(([name, patch]) => [
    name,
    (patch["spec"] as { clusterIPs: string[] }).clusterIPs,
  ]);
  assert.deepEqual(given, [
    ["first", ["10.96.0.12", "fd00:10:96::c"]],
    ["second", ["10.96.0.13", "fd00:10:96::d"]],
  ]);
});

test("endpointSliceWrites() lists pods with readiness and resolved ports, once for each family, and nothing twice", () => {
  const web = service("web", { selector: { app: "web" }, ports: [{ name: "http", port: 80, targetPort: "http" }] });
  const pods = [
    pod("ready", { labels: { app: "web" }, node: "n1", ip: "10.0.0.1" }),
    pod("unready", { labels: { app: "web" }, node: "n1", ip: "10.0.0.2", ready: false }),
    pod("ending", { labels: { app: "web" }, ip: "10.0.0.3", metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } }),
    pod("other", { labels: { app: "other" }, ip: "10.0.0.4" }),
    pod("no-address", { labels: { app: "web" } }),
  ];
  const slices = made(endpointSliceWrites(sourceOf(web, ...pods)));
  assert.deepEqual(slices.map((slice) => slice["addressType"]).sort(), ["IPv4", "IPv6"]);
  const v4 = slices.find((slice) => slice["addressType"] === "IPv4");
  const endpoints = v4?.["endpoints"] as readonly {
    readonly addresses: string[];
    readonly conditions: { readonly ready: boolean };
  }[];
  assert.deepEqual(
    endpoints.map(({ addresses, conditions }) => [addresses[0], conditions.ready]),
    [
      ["10.0.0.1", true],
      ["10.0.0.2", false],
      ["10.0.0.3", false],
    ],
  );
  assert.deepEqual(v4?.["ports"], [{ name: "http", port: 8080, protocol: "TCP" }]);
  assert.deepEqual(endpointSliceWrites(sourceOf(web, ...pods, ...slices)), []);
  const orphaned = endpointSliceWrites(sourceOf(...slices));
  assert.deepEqual(
    orphaned.map(({ type }) => type),
    ["delete", "delete"],
  );
});
