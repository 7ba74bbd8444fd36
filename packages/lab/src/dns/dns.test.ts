import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "@ambit/core";
import { namespace, pod, service, sourceOf } from "../objects.testing.ts";
import { DnsServer } from "./server.ts";
import { lookUp } from "./zone.ts";

const source = sourceOf(
  namespace("shop"),
  service("web", { clusterIPs: ["10.96.0.20", "fd00:10:96::20"], ports: [] }),
  service("db", { clusterIP: "None", ports: [] }),
  pod("db-0", { ip: "10.0.0.7", spec: { hostname: "db-0", subdomain: "db" } }),
  {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "db", namespace: "shop", labels: { "kubernetes.io/service-name": "db" } },
    addressType: "IPv4",
    endpoints: [{ addresses: ["10.0.0.7"] }, { addresses: ["10.0.0.8"], conditions: { ready: false } }],
    ports: [],
  },
);

test("lookUp() knows Services, headless Services and their pods, and tells a name without addresses from none", () => {
  const names: readonly (readonly [string, readonly string[] | undefined])[] = [
    ["web.shop.svc.cluster.local", ["10.96.0.20", "fd00:10:96::20"]],
    ["db.shop.svc.cluster.local", ["10.0.0.7"]],
    ["db-0.db.shop.svc.cluster.local", ["10.0.0.7", "fd00::7"]],
    ["db-1.db.shop.svc.cluster.local", undefined],
    ["db-0.web.shop.svc.cluster.local", undefined],
    ["shop.svc.cluster.local", []],
    ["nowhere.svc.cluster.local", undefined],
    ["svc.cluster.local", []],
    ["cluster.local", []],
    ["web.shop", undefined],
    ["example.com", undefined],
    ["a.b.c.shop.svc.cluster.local", undefined],
  ];
  for (const [name, expected] of names) assert.deepEqual(lookUp(source, name), expected, name);
});

const question = (name: string, type: number) => {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([Buffer.from("abcd01000001000000000000", "hex"), ...labels, Buffer.from([0, 0, type, 0, 1])]);
};

test("answer() carries the question, the addresses of the type asked for, and the code of what does not exist", () => {
  const server = new DnsServer((name) => lookUp(source, name), silentLogger);
  const asked = question("WEB.shop.svc.cluster.local", 1);
  const answer = server.answer(asked, 512) ?? Buffer.alloc(0);
  assert.equal(answer.toString("hex", 0, 12), "abcd85800001000100000000");
  assert.deepEqual(answer.subarray(12, asked.length), asked.subarray(12));
  assert.deepEqual([...answer.subarray(-4)], [10, 96, 0, 20]);
  const v6 = server.answer(question("web.shop.svc.cluster.local", 28), 512);
  assert.equal(v6?.subarray(-16).toString("hex"), "fd000010009600000000000000000020");
  assert.equal(server.answer(question("gone.shop.svc.cluster.local", 1), 512)?.readUInt16BE(2), 0x8583);
  assert.equal(server.answer(question("web.shop.svc.cluster.local", 16), 512)?.readUInt16BE(6), 0);
});

test("answer() says that it is cut when not all addresses fit, and nothing to what is no query", () => {
  const many = Array.from({ length: 50 }, (_, i) => `10.0.0.${i + 1}`);
  const server = new DnsServer(() => many, silentLogger);
  const cut = server.answer(question("x", 1), 512) ?? Buffer.alloc(0);
  assert.ok(cut.length <= 512);
  assert.equal(cut.readUInt16BE(2) & 0x0200, 0x0200);
  assert.equal(server.answer(question("x", 1), 65_535)?.readUInt16BE(6), 50);
  const response = question("x", 1);
  response[2] = 0x81;
  for (const bad of [
    Buffer.alloc(5),
    response,
    question("x", 1).subarray(0, 14),
    Buffer.concat([question("x", 1).subarray(0, 12), Buffer.from([0xc0, 12])]),
  ])
    assert.equal(server.answer(bad, 512), undefined);
});
