import assert from "node:assert/strict";
import { test } from "node:test";
import { indexed } from "../testing/indexed.ts";
import { kubernetesService, object, pod } from "../testing/objects.ts";

const portsOf = (services: ReadonlyMap<string, ReadonlyMap<number, number>>) =>
  Object.fromEntries([...services].map(([key, ports]) => [key, Object.fromEntries(ports)]));

test("translatePod() leaves out pods that have ended or have no address", () => {
  const mesh = indexed([
    pod("done", { phase: "Succeeded" }),
    pod("broken", { phase: "Failed" }),
    pod("new", { ip: "" }),
    pod("a"),
  ]);
  assert.deepEqual(mesh.names(), ["Kubernetes//Pod/bookinfo/a"]);
});

test("translatePod() calls a pod that is being deleted unhealthy, ready or not", () => {
  const mesh = indexed([pod("a", { deletionTimestamp: "2026-01-01T00:00:00Z" }), pod("b", { ready: false }), pod("c")]);
  assert.deepEqual(
    ["a", "b", "c"].map((name) => mesh.pod(name).status),
    ["unhealthy", "unhealthy", "healthy"],
  );
});

test("translatePod() names the workload by its owner, or by its label", () => {
  const owner = (kind: string, name: string) => [{ apiVersion: "v1", kind, name, uid: "u" }];
  const mesh = indexed([
    pod("web-5d4f-x", { labels: { "pod-template-hash": "5d4f" }, ownerReferences: owner("ReplicaSet", "web-5d4f") }),
    pod("nightly-29000000-y", { ownerReferences: owner("Job", "nightly-29000000") }),
    pod("db-0", { ownerReferences: owner("StatefulSet", "db") }),
    pod("labelled", { labels: { "service.istio.io/workload-name": "named" } }),
    pod("alone"),
  ]);
  const names = ["web-5d4f-x", "nightly-29000000-y", "db-0", "labelled", "alone"].map((name) => mesh.pod(name).workloadName);
  assert.deepEqual(names, ["web", "nightly", "db", "named", "alone"]);
});

test("translatePod() takes pods that speak HBONE themselves as native", () => {
  const mesh = indexed([
    pod("a", { labels: { "networking.istio.io/tunnel": "http" }, annotations: {} }),
    pod("b", { annotations: {} }),
  ]);
  assert.deepEqual([mesh.pod("a").tunnelProtocol, mesh.pod("a").nativeTunnel], ["hbone", true]);
  assert.deepEqual([mesh.pod("b").tunnelProtocol, mesh.pod("b").nativeTunnel], ["none", false]);
});

test("translatePod() resolves named target ports on the pod and leaves out those that it does not have", () => {
  const ports = [
    { name: "http", port: 80, targetPort: "web" },
    { name: "admin", port: 81, targetPort: "missing" },
    { name: "plain", port: 82 },
  ];
  const mesh = indexed([
    kubernetesService("s", { selector: { app: "a" }, ports }),
    pod("a", { labels: { app: "a" }, containers: [{ name: "c", ports: [{ name: "web", containerPort: 8080 }] }] }),
  ]);
  assert.deepEqual(portsOf(mesh.pod("a").services), { "bookinfo/s.bookinfo.svc.cluster.local": { 80: 8080, 82: 82 } });
  assert.deepEqual(
    mesh.service("bookinfo/s.bookinfo.svc.cluster.local").ports.map(({ targetPort }) => targetPort),
    [0, 0, 82],
  );
});

test("translatePod() joins a service without selector when a slice names the pod, and slices add what is no pod", () => {
  const slice = object("discovery.k8s.io/v1", "EndpointSlice", "s-1", {
    labels: { "kubernetes.io/service-name": "s" },
    addressType: "IPv4",
    endpoints: [
      { addresses: ["10.0.0.1"], targetRef: { kind: "Pod", name: "a", namespace: "bookinfo" } },
      { addresses: ["192.0.2.1"], conditions: { ready: false } },
    ],
    ports: [{ name: "http", port: 9090 }],
  });
  const mesh = indexed([kubernetesService("s", { ports: [{ name: "http", port: 80, targetPort: 8080 }] }), slice, pod("a")]);
  const key = "bookinfo/s.bookinfo.svc.cluster.local";
  assert.deepEqual(portsOf(mesh.pod("a").services), { [key]: { 80: 8080 } });
  const outside = mesh.workload("Kubernetes/discovery.k8s.io/EndpointSlice/bookinfo/s-1/192.0.2.1");
  assert.deepEqual(portsOf(outside.services), { [key]: { 80: 9090 } });
  assert.deepEqual([outside.status, outside.networkMode], ["unhealthy", "hostNetwork"]);
  assert.equal(
    mesh.names().some((name) => name.endsWith("/10.0.0.1")),
    false,
  );
});
