import assert from "node:assert/strict";
import { test } from "node:test";
import { indexed } from "../testing/indexed.ts";
import { authorizationPolicy, peerAuthentication, pod } from "../testing/objects.ts";

const STRICT = "istio-system/istio_converted_static_strict";
const root = { namespace: "istio-system" };
const select = (app: string) => ({ selector: { matchLabels: { app } } });
const mtls = (mode: string) => ({ mtls: { mode } });

test("translateAuthorizationPolicy() gives scope by selector and namespace", () => {
  const mesh = indexed([
    authorizationPolicy("all", {}, root),
    authorizationPolicy("ns", {}),
    authorizationPolicy("one", select("a")),
    authorizationPolicy("everywhere", select("a"), root),
    authorizationPolicy("service", { targetRefs: [{ kind: "Service", name: "s" }] }),
    pod("a", { labels: { app: "a" } }),
    pod("b", { labels: { app: "b" } }),
  ]);
  assert.deepEqual(
    ["istio-system/all", "bookinfo/ns", "bookinfo/one", "bookinfo/service"].map((name) => mesh.policy(name)?.scope),
    ["global", "namespace", "workloadSelector", undefined],
  );
  assert.deepEqual(mesh.pod("a").authorizationPolicies, ["bookinfo/one", "istio-system/everywhere"]);
  assert.deepEqual(mesh.pod("b").authorizationPolicies, []);
});

test("translateAuthorizationPolicy() drops ALLOW rules with request attributes and narrows nothing else", () => {
  const rules = [
    { from: [{ source: { namespaces: ["a"], requestPrincipals: ["x"] } }] },
    { from: [{ source: { namespaces: ["a"], trustDomains: ["x"] } }] },
    { when: [{ key: "source.serviceAccount", values: ["x"] }] },
    { from: [{ source: { namespaces: ["b"] } }] },
  ];
  const mesh = indexed([authorizationPolicy("allow", { rules }), authorizationPolicy("deny", { action: "DENY", rules })]);
  assert.equal(mesh.policy("bookinfo/allow")?.rules.length, 1);
  assert.equal(mesh.policy("bookinfo/deny")?.rules.length, 4);
  assert.match(
    mesh.problems().join("\n"),
    /AuthorizationPolicy\/allow: needs a waypoint for requestPrincipals, source.serviceAccount, trustDomains/,
  );
});

test("translateAuthorizationPolicy() sends dry runs only where they are switched on", () => {
  const policy = authorizationPolicy("dry", { action: "DENY", rules: [{}] }, { annotations: { "istio.io/dry-run": "true" } });
  assert.equal(indexed([policy]).policy("bookinfo/dry"), undefined);
  assert.equal(indexed([policy], { sendDryRun: true }).policy("bookinfo/dry")?.dryRun, true);
});

test("PeerAuthentications inherit from workload to namespace to mesh", () => {
  const a = pod("a", { labels: { app: "a" } });
  const attached = (...objects: unknown[]) => indexed([a, ...objects]).pod("a").authorizationPolicies;
  assert.deepEqual(attached(peerAuthentication("mesh", mtls("STRICT"), root)), [STRICT]);
  assert.deepEqual(attached(peerAuthentication("mesh", mtls("STRICT"), root), peerAuthentication("ns", {})), [STRICT]);
  assert.deepEqual(attached(peerAuthentication("mesh", mtls("STRICT"), root), peerAuthentication("ns", mtls("DISABLE"))), []);
  assert.deepEqual(
    attached(peerAuthentication("ns", mtls("STRICT")), peerAuthentication("w", { ...select("a"), ...mtls("PERMISSIVE") })),
    [],
  );
  assert.deepEqual(
    attached(peerAuthentication("ns", mtls("STRICT")), peerAuthentication("w", { ...select("b"), ...mtls("PERMISSIVE") })),
    [STRICT],
  );
});

test("PeerAuthentications take the oldest of equals", () => {
  const young = peerAuthentication("a-young", mtls("STRICT"), { creationTimestamp: "2026-02-01T00:00:00Z" });
  const old = peerAuthentication("b-old", mtls("PERMISSIVE"), { creationTimestamp: "2026-01-01T00:00:00Z" });
  assert.deepEqual(indexed([pod("a"), young, old]).pod("a").authorizationPolicies, []);
});

test("PeerAuthentications exempt ports of a strict parent, also by DISABLE and with the workload's own mode unset", () => {
  const ports = peerAuthentication("p", {
    ...select("a"),
    portLevelMtls: { 8080: { mode: "DISABLE" }, 9090: { mode: "STRICT" } },
  });
  const mesh = indexed([pod("a", { labels: { app: "a" } }), peerAuthentication("ns", mtls("STRICT")), ports]);
  assert.deepEqual(mesh.pod("a").authorizationPolicies, ["bookinfo/converted_peer_authentication_p"]);
  const clauses = mesh.policy("bookinfo/converted_peer_authentication_p")?.rules[0]?.clauses;
  assert.deepEqual(
    clauses?.map(({ matches }) => matches[0]?.notDestinationPorts),
    [[], [8080]],
  );
});

test("PeerAuthentications keep a strict port of a permissive workload under a strict mesh", () => {
  const ports = peerAuthentication("p", { ...select("a"), ...mtls("PERMISSIVE"), portLevelMtls: { 9090: { mode: "STRICT" } } });
  const mesh = indexed([pod("a", { labels: { app: "a" } }), peerAuthentication("mesh", mtls("STRICT"), root), ports]);
  assert.deepEqual(mesh.pod("a").authorizationPolicies, ["bookinfo/converted_peer_authentication_p"]);
  assert.deepEqual(
    mesh.policy("bookinfo/converted_peer_authentication_p")?.rules[0]?.clauses[0]?.matches[0]?.destinationPorts,
    [9090],
  );
});
