import assert from "node:assert/strict";
import { test } from "node:test";
import { deploymentOf, parseTarget } from "./target.ts";

test("parseTarget() reads type, name, namespace after a dot, and port", () => {
  assert.deepEqual(parseTarget("svc/ratings.bookinfo:9080", "default"), {
    kind: "svc",
    name: "ratings",
    namespace: "bookinfo",
    port: 9080,
  });
  assert.deepEqual(parseTarget("deployment/reviews-v2", "bookinfo"), {
    kind: "deploy",
    name: "reviews-v2",
    namespace: "bookinfo",
    port: undefined,
  });
});

test("parseTarget() says what it takes when the text is not TYPE/NAME", () => {
  assert.throws(() => parseTarget("ratings", "default"), /not TYPE\/NAME/);
  assert.throws(() => parseTarget("cronjob/x", "default"), /types are deploy/);
});

test("deploymentOf() strips what replica set and pod add to the name", () => {
  assert.equal(deploymentOf("reviews-v2-7c8b6d5f9-ccccc"), "reviews-v2");
  assert.equal(deploymentOf("hostnet-1"), undefined);
});
