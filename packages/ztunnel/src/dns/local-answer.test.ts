import assert from "node:assert/strict";
import { test } from "node:test";
import { meshView, service, workload } from "@ambit/testkit";
import { answerLocally, type LocalNames } from "./local-answer.ts";

const NAMES: LocalNames = {
  namespace: "shop",
  network: "",
  clusterDomain: "cluster.local",
  preferredNamespace: undefined,
  ipv6: true,
};

const VIEW = meshView({
  services: [
    service().named("web").inNamespace("shop").at("10.0.0.1", "fd00::1").build(),
    service().named("web").inNamespace("other").at("10.0.0.2").build(),
    service().named("far").inNamespace("shop").at("net2@10.0.0.3").build(),
    service().named("db").inNamespace("shop").build(),
    service().named("api").inNamespace("shop").withHostname("api.example.com").at("10.0.0.5").build(),
    service().named("none").inNamespace("shop").withHostname("none.example.com").build(),
    service().named("wild").inNamespace("shop").withHostname("*.example.net").at("10.0.0.6").build(),
  ],
  workloads: [
    workload().named("db-0").inNamespace("shop").at("10.1.0.1").serving("shop/db.shop.svc.cluster.local").build(),
    workload().named("db-1").inNamespace("shop").at("10.1.0.2").unhealthy().serving("shop/db.shop.svc.cluster.local").build(),
    workload()
      .named("db-2")
      .inNamespace("shop")
      .at("10.1.0.3")
      .inNetwork("net2")
      .serving("shop/db.shop.svc.cluster.local")
      .build(),
  ],
});

const four = (name: string, names = NAMES) => answerLocally(VIEW, names, { name, family: 4 });

test("answerLocally() completes short names from the pod's own namespace", () => {
  for (const name of ["web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local"]) {
    assert.deepEqual(four(name), { addresses: ["10.0.0.1"], alias: undefined }, name);
  }
  assert.deepEqual(four("web.other"), { addresses: ["10.0.0.2"], alias: undefined });
  assert.equal(four("web.unknown"), undefined);
});

test("answerLocally() takes search domains off a name and says which name is meant", () => {
  assert.deepEqual(four("api.example.com.shop.svc.cluster.local"), { addresses: ["10.0.0.5"], alias: "api.example.com" });
  assert.deepEqual(four("api.example.com.cluster.local"), { addresses: ["10.0.0.5"], alias: "api.example.com" });
  assert.equal(four("api.example.com.other.svc.cluster.local"), undefined);
});

test("answerLocally() gives no alias for a wildcard", () => {
  assert.deepEqual(four("a.example.net"), { addresses: ["10.0.0.6"], alias: undefined });
  assert.deepEqual(four("a.example.net.svc.cluster.local"), { addresses: ["10.0.0.6"], alias: undefined });
  assert.equal(four("example.net"), undefined);
});

test("answerLocally() answers a headless service with healthy endpoints of the own network", () => {
  assert.deepEqual(four("db"), { addresses: ["10.1.0.1"], alias: undefined });
});

test("answerLocally() leaves to others what has no address here", () => {
  assert.equal(four("far"), undefined);
  assert.equal(four("none.example.com"), undefined);
});

test("answerLocally() answers a known name without addresses of the family by none, and IPv6 only where it is served", () => {
  assert.deepEqual(answerLocally(VIEW, NAMES, { name: "web.other", family: 6 })?.addresses, []);
  assert.deepEqual(answerLocally(VIEW, NAMES, { name: "web", family: 6 })?.addresses, ["fd00::1"]);
  assert.deepEqual(answerLocally(VIEW, { ...NAMES, ipv6: false }, { name: "web", family: 6 })?.addresses, []);
});
