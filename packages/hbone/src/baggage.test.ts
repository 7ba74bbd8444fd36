import assert from "node:assert/strict";
import { test } from "node:test";
import { formatBaggage, parseBaggage } from "./baggage.ts";

const ALL = {
  clusterId: "Kubernetes",
  namespace: "default",
  workloadType: "deployment",
  workloadName: "reviews",
  serviceName: "reviews",
  serviceVersion: "v1",
  region: "eu",
  zone: "eu-1",
} as const;

test("formatBaggage() writes the facts in the order of the Rust ztunnel", () => {
  assert.equal(
    formatBaggage(ALL),
    "k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.deployment.name=reviews,service.name=reviews,service.version=v1," +
      "cloud.region=eu,cloud.availability_zone=eu-1",
  );
});

test("formatBaggage() leaves out what is not known, and a name without its type", () => {
  assert.equal(formatBaggage({}), "");
  assert.equal(formatBaggage({ namespace: "a", workloadName: "x", region: "" }), "k8s.namespace.name=a");
  for (const workloadType of ["deployment", "cronjob", "pod", "job"] as const) {
    assert.equal(formatBaggage({ workloadType, workloadName: "x" }), `k8s.${workloadType}.name=x`);
  }
});

test("formatBaggage() leaves out values that would be read as something else, or cannot be sent", () => {
  for (const namespace of ["a,b", "a=b", "a b", "a\nb", "ä", " a"]) {
    assert.equal(formatBaggage({ namespace, region: "eu" }), "cloud.region=eu", JSON.stringify(namespace));
  }
});

test("parseBaggage() reads what formatBaggage() has written", () => {
  assert.deepEqual(parseBaggage([formatBaggage(ALL)]), ALL);
  assert.deepEqual(parseBaggage([]), {});
  assert.deepEqual(parseBaggage([""]), {});
});

test("parseBaggage() merges headers in order, skips what it does not know and takes empty for absent", () => {
  const baggage = parseBaggage([
    "k8s.namespace.name=a,unknown=x,k8s.node.name=n,=,==,novalue",
    "k8s.namespace.name=b, service.name = web ,service.version=,k8s.cronjob.name=c=d",
  ]);
  assert.deepEqual(baggage, {
    namespace: "b",
    serviceName: "web",
    serviceVersion: undefined,
    workloadType: "cronjob",
    workloadName: "c",
  });
});

test("parseBaggage() takes no key from the object prototype", () => {
  assert.deepEqual(parseBaggage(["__proto__=x,constructor=y,toString=z,k8s.constructor.name=q"]), {});
});
