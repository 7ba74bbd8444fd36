import assert from "node:assert/strict";
import { test } from "node:test";
import { type EndpointSlice, type KubeService, listKind } from "@ambit/kube";
import { type RawObject, service, sourceOf } from "../objects.testing.ts";
import { frontendsOf } from "./frontends.ts";
import { serviceRules } from "./service-rules.ts";

const slice = (name: string, family: 4 | 6, endpoints: readonly (readonly [ip: string, ready: boolean])[]): RawObject => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: `${name}-${family}`, namespace: "shop", labels: { "kubernetes.io/service-name": name } },
  addressType: `IPv${family}`,
  endpoints: endpoints.map(([ip, ready]) => ({ addresses: [ip], conditions: { ready } })),
  ports: [{ name: "http", port: 8080, protocol: "TCP" }],
});

const rules = (family: 4 | 6, ...objects: readonly RawObject[]) => {
  const source = sourceOf(...objects);
  const [services, slices] = [listKind(source, "Service"), listKind(source, "EndpointSlice")] as [KubeService[], EndpointSlice[]];
  return serviceRules(frontendsOf(services, slices, family), family).split("\n");
};

const web = service("web", { clusterIPs: ["10.96.0.20", "fd00:10:96::20"], ports: [{ name: "http", port: 80 }] });

test("serviceRules() gives each ready endpoint the same share of new connections", () => {
  const endpoints = slice("web", 4, [
    ["10.0.0.1", true],
    ["10.0.0.2", true],
    ["10.0.0.3", false],
    ["10.0.0.4", true],
  ]);
  const all = rules(4, web, endpoints);
  const match = "-A LAB-SERVICES -d 10.96.0.20 -p tcp -m tcp --dport 80";
  assert.deepEqual(
    all.filter((rule) => rule.includes("DNAT")),
    [
      `${match} -m statistic --mode random --probability 0.3333333333 -j DNAT --to-destination 10.0.0.1:8080`,
      `${match} -m statistic --mode random --probability 0.5000000000 -j DNAT --to-destination 10.0.0.2:8080`,
      `${match} -j DNAT --to-destination 10.0.0.4:8080`,
    ],
  );
  assert.ok(all.includes("-A LAB-HAIRPIN -s 10.0.0.1 -d 10.0.0.1 -j MASQUERADE"));
  assert.ok(!all.some((rule) => rule.includes("-j REJECT")));
});

test("serviceRules() refuses what no endpoint answers, and puts IPv6 endpoints into brackets", () => {
  assert.ok(rules(4, web).includes("-A LAB-REJECT -d 10.96.0.20 -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset"));
  const all = rules(6, web, slice("web", 6, [["fd00::1", true]]));
  assert.ok(all.includes("-A LAB-SERVICES -d fd00:10:96::20 -p tcp -m tcp --dport 80 -j DNAT --to-destination [fd00::1]:8080"));
});

test("frontendsOf() leaves out Services without an address of the family", () => {
  const headless = service("pods", { clusterIP: "None", ports: [{ name: "http", port: 80 }] });
  assert.equal(rules(4, headless, slice("pods", 4, [["10.0.0.1", true]])).filter((rule) => rule.startsWith("-A")).length, 0);
});
