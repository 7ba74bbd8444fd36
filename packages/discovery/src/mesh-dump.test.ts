import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { hasCode } from "@ambit/core";
import { authorization, clause, gateway, identity, service, workload } from "@ambit/testkit";
import { dumpMesh } from "./mesh-dump.ts";
import { MeshState } from "./mesh-state.ts";
import { parseMeshDump } from "./parse-mesh-dump.ts";

const readSample = (): unknown => JSON.parse(readFileSync(new URL("testdata/rust-config-dump.json", import.meta.url), "utf8"));
const overJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test("dumpMesh() writes exactly what a Rust ztunnel wrote for the same mesh", () => {
  const sample = readSample();
  assert.deepEqual(overJson(dumpMesh(parseMeshDump(sample))), sample);
});

test("parseMeshDump() understands a Rust ztunnel's dump", () => {
  const state = parseMeshDump(readSample());
  assert.deepEqual(state.size, { workloads: 2, services: 1, policies: 1 });
  const [reviews] = state.servicesByHostname("reviews.bookinfo.svc.cluster.local");
  assert.ok(reviews);
  const [endpoint] = state.endpoints("bookinfo/reviews.bookinfo.svc.cluster.local" as never);
  assert.deepEqual([endpoint?.workload.name, endpoint?.ports.get(9080)], ["reviews-v1-77c4", 8080]);
});

test("parseMeshDump() gives back every field that dumpMesh() was given", () => {
  const everything = workload()
    .named("a")
    .inNamespace("shop")
    .onNode("n1")
    .at("10.0.0.1", "fd00::1")
    .as("sa")
    .inNetwork("n2", gateway("n2/172.16.0.1", 15443))
    .inLocality("r", "z", "s")
    .behind(gateway("shop/wp.shop.svc.cluster.local"))
    .unhealthy()
    .serving("shop/web.shop.svc.cluster.local", { 80: 8080, 81: 0 })
    .serving("shop/late.shop.svc.cluster.local", { 1: 2 })
    .underPolicies("shop/p", "shop/q")
    .with({
      hostname: "a.example.com",
      networkMode: "hostNetwork",
      nativeTunnel: true,
      applicationTunnel: { protocol: "proxy", port: 15088 },
      trustDomain: "td",
      clusterId: "c2",
      canonicalRevision: "v2",
      workloadType: "cronjob",
      workloadName: "w",
      capacity: 0,
    })
    .build();
  const web = service()
    .named("web")
    .inNamespace("shop")
    .at("10.96.0.1", "n2@fd96::/64")
    .behind(gateway("n2/10.0.0.9"))
    .balanced("failover", "network", "region", "zone", "subzone", "node", "cluster")
    .with({
      ports: [{ servicePort: 80, targetPort: 0, appProtocol: "http2" }],
      subjectAltNames: [identity("shop", "sa")],
      weightedWaypoints: [{ destination: gateway("shop/wp2"), weight: 10 }],
      ingressUseWaypoint: true,
      ipFamilies: "dual",
      canonical: false,
      visibility: "namespace",
    })
    .build();
  const policy = authorization()
    .named("p")
    .inNamespace("shop")
    .denying()
    .forSelector()
    .asDryRun()
    .rule(
      clause(
        { namespaces: ["a", "b*"], notNamespaces: ["*c"], principals: ["*"], notPrincipals: ["d"], serviceAccounts: ["a/b"] },
        { notServiceAccounts: ["c/d"], sourceIps: ["10.0.0.0/8"], notSourceIps: ["fd00::/8"], destinationIps: ["1.2.3.4"] },
      ),
      { notDestinationIps: ["1.2.3.5"], destinationPorts: [1], notDestinationPorts: [2] },
    )
    .rule()
    .build();
  const state = new MeshState();
  state.apply({
    addresses: {
      upserts: [
        { name: everything.uid, resource: { kind: "workload", workload: everything } },
        { name: "shop/web", resource: { kind: "service", service: web } },
      ],
      removals: [],
    },
    authorizations: { upserts: [{ name: "shop/p", resource: policy }], removals: [] },
  });
  const again = parseMeshDump(overJson(dumpMesh(state)));
  assert.deepEqual(again.workloads(), [everything]);
  assert.deepEqual(again.services(), [web]);
  assert.deepEqual(again.policies(), [policy]);
  assert.deepEqual(
    [...again.stagedEndpoints()].map(([key]) => key),
    ["shop/late.shop.svc.cluster.local"],
  );
});

const broken: readonly [name: string, change: unknown, path: RegExp][] = [
  ["no document", undefined, /^\/ should be an object and is nothing/],
  ["a list of workloads that is none", { workloads: {} }, /^\/workloads should be an array/],
  [
    "an unknown protocol",
    { workloads: [{ uid: "u", name: "n", namespace: "s", protocol: "QUIC" }] },
    /^\/workloads\/0\/protocol should be one of HBONE, TCP/,
  ],
  [
    "a bad address",
    { workloads: [{ uid: "u", name: "n", namespace: "s", workloadIps: ["1.2.3"] }] },
    /^\/workloads\/0\/workloadIps\/0/,
  ],
  ["a policy without action", { policies: [{ name: "n", namespace: "s", scope: "Global" }] }, /^\/policies\/0\/action/],
  [
    "a bad block",
    { services: [{ name: "n", namespace: "s", hostname: "h", vips: ["/10.0.0.0/99"] }] },
    /^\/services\/0\/vips\/0/,
  ],
];
for (const [name, json, message] of broken) {
  test(`parseMeshDump() refuses ${name} and says where`, () => {
    assert.throws(
      () => parseMeshDump(json),
      (error) => hasCode(error, "DISCOVERY_DUMP_INVALID") && message.test(error.message),
    );
  });
}
