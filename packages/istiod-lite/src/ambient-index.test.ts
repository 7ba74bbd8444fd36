import assert from "node:assert/strict";
import { test } from "node:test";
import { ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL } from "@ambit/api";
import { seededRandom } from "@ambit/testkit";
import { AmbientIndex } from "./ambient-index.ts";
import { indexed } from "./testing/indexed.ts";
import { MemorySource } from "./testing/memory-source.ts";
import {
  authorizationPolicy,
  gateway,
  kubernetesService,
  namespace,
  object,
  peerAuthentication,
  pod,
  serviceEntry,
} from "./testing/objects.ts";
import { meshSettings } from "./testing/settings.ts";

const versions = (index: AmbientIndex) =>
  new Map(
    ([ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL] as const).flatMap((typeUrl) =>
      [...index.table(typeUrl).values()].map(({ name, version }) => [`${typeUrl} ${name}`, version] as const),
    ),
  );

function listening(objects: readonly unknown[]) {
  const mesh = indexed(objects);
  const batches: string[][] = [];
  mesh.index.onChange((changed) => void batches.push([...changed.values()].flatMap((names) => [...names]).sort()));
  return { ...mesh, batches };
}

test("AmbientIndex tells nobody of what was there at the start", () => {
  const source = new MemorySource();
  source.put(pod("a"));
  const index = new AmbientIndex(source, meshSettings());
  let told = 0;
  index.onChange(() => told++);
  index.start();
  assert.deepEqual([told, index.size], [0, 1]);
});

test("AmbientIndex is silent about changes that make no difference", () => {
  const mesh = listening([pod("a"), kubernetesService("s", { selector: { app: "x" }, ports: [{ port: 80 }] })]);
  mesh.source.put(pod("a", { annotations: { "ambient.istio.io/redirection": "enabled", note: "changed" } }));
  mesh.source.put(
    object("v1", "ServiceAccount", "sa"),
    object("apps/v1", "Deployment", "d", {
      spec: { selector: { matchLabels: { app: "x" } }, template: { spec: { containers: [{ name: "c" }] } } },
    }),
  );
  mesh.source.put(authorizationPolicy("to-service", { targetRefs: [{ kind: "Service", name: "s" }] }));
  assert.deepEqual(mesh.batches, []);
});

test("AmbientIndex names a pod and its policy when a policy begins to select it", () => {
  const mesh = listening([pod("a", { labels: { app: "a" } }), pod("b")]);
  mesh.source.put(authorizationPolicy("p", { selector: { matchLabels: { app: "a" } } }));
  mesh.source.remove("AuthorizationPolicy", "bookinfo", "p");
  const names = ["Kubernetes//Pod/bookinfo/a", "bookinfo/p"];
  assert.deepEqual(mesh.batches, [names, names]);
  assert.deepEqual(mesh.pod("a").authorizationPolicies, []);
});

test("AmbientIndex binds a service when its waypoint gets an address", () => {
  const mesh = listening([
    gateway("w", { status: {} }),
    kubernetesService("s", { ports: [{ port: 80 }] }, { labels: { "istio.io/use-waypoint": "w" } }),
  ]);
  mesh.source.put(gateway("w"));
  assert.deepEqual(mesh.batches, [["bookinfo/s.bookinfo.svc.cluster.local"]]);
});

/** Everything that can be changed, in two variants each. */
function changes(random: () => number): unknown {
  const ns = random() < 0.7 ? "bookinfo" : "istio-system";
  const labels = { app: random() < 0.5 ? "a" : "b" };
  const select = { selector: { matchLabels: { app: random() < 0.5 ? "a" : "b" } } };
  const n = Math.floor(random() * 3);
  const use = random() < 0.5 ? { "istio.io/use-waypoint": "w" } : {};
  const makers = [
    () =>
      pod(`p${n}`, { namespace: ns, labels: { ...labels, ...use }, ip: `10.0.0.${n + 1}`, ready: random() < 0.5, node: `n${n}` }),
    () =>
      kubernetesService(
        `s${n}`,
        { ...(random() < 0.7 ? { selector: labels } : {}), ports: [{ port: 80 + n, name: "x" }] },
        { namespace: ns, labels: use },
      ),
    () => authorizationPolicy(`a${n}`, random() < 0.7 ? select : { action: "DENY", rules: [{}] }, { namespace: ns }),
    () =>
      peerAuthentication(
        `m${n}`,
        { ...(random() < 0.5 ? select : {}), mtls: { mode: random() < 0.5 ? "STRICT" : "PERMISSIVE" } },
        { namespace: ns },
      ),
    () => gateway("w", { namespace: ns, ...(random() < 0.3 ? { status: {} } : {}), labels: { "istio.io/waypoint-for": "all" } }),
    () => namespace(ns, use),
    () => ({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: `n${n}`, labels: { "topology.kubernetes.io/zone": `z${Math.floor(random() * 2)}` } },
    }),
    () =>
      serviceEntry(
        `e${n}`,
        { hosts: [`h${Math.floor(random() * 2)}.example.com`], ports: [{ number: 80, name: "x" }], resolution: "DNS" },
        { namespace: ns, labels: use },
      ),
    () => object("networking.istio.io/v1", "WorkloadEntry", `v${n}`, { namespace: ns, spec: { address: "192.0.2.1", labels } }),
    () =>
      object("discovery.k8s.io/v1", "EndpointSlice", `l${n}`, {
        namespace: ns,
        labels: { "kubernetes.io/service-name": `s${n}` },
        addressType: "IPv4",
        endpoints: [{ addresses: ["192.0.2.9"] }, { addresses: ["10.0.0.1"], targetRef: { kind: "Pod", name: `p${n}` } }],
        ports: [{ name: "x", port: 8000 + Math.floor(random() * 2) }],
      }),
  ];
  return makers[Math.floor(random() * makers.length)]?.();
}

test("AmbientIndex holds after any changes what a new index would, and has named every difference", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed);
    const source = new MemorySource();
    const index = new AmbientIndex(source, meshSettings());
    index.start();
    let told = new Set<string>();
    index.onChange((changed) => {
      for (const [typeUrl, names] of changed) for (const name of names) told.add(`${typeUrl} ${name}`);
    });
    for (let step = 0; step < 60; step++) {
      const before = versions(index);
      told = new Set();
      const change = changes(random) as { kind: string; metadata: { namespace?: string; name: string } };
      const { kind, metadata } = change;
      if (random() < 0.3 && source.get(kind, metadata.namespace ?? "", metadata.name) !== undefined)
        source.remove(kind, metadata.namespace ?? "", metadata.name);
      else source.put(change);
      const fresh = new AmbientIndex(source, meshSettings());
      fresh.rebuild();
      const after = versions(index);
      assert.deepEqual(after, versions(fresh), `seed ${seed}, step ${step}, ${kind} ${metadata.name}`);
      const different = [...new Set([...before.keys(), ...after.keys()])].filter((name) => before.get(name) !== after.get(name));
      assert.deepEqual([...told].sort(), different.sort(), `seed ${seed}, step ${step}, ${kind} ${metadata.name}`);
    }
  }
});
