import assert from "node:assert/strict";
import test from "node:test";
import { asSpiffeId, parseSpiffeId, principalOf, spiffeId } from "./identity.ts";

test("parseSpiffeId() and spiffeId() are inverse", () => {
  const text = "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews";
  const parts = parseSpiffeId(text);
  assert.deepEqual(parts, { trustDomain: "cluster.local", namespace: "bookinfo", serviceAccount: "bookinfo-reviews" });
  assert.ok(parts !== undefined);
  assert.equal(spiffeId(parts), text);
});

for (const text of [
  "",
  "spiffe://",
  "cluster.local/ns/a/sa/b",
  "SPIFFE://cluster.local/ns/a/sa/b",
  "https://cluster.local/ns/a/sa/b",
  "spiffe:///ns/a/sa/b",
  "spiffe://cluster.local/ns//sa/b",
  "spiffe://cluster.local/ns/a/sa/",
  "spiffe://cluster.local/ns/a/sa/b/",
  "spiffe://cluster.local/ns/a/sa/b/c",
  "spiffe://cluster.local/NS/a/sa/b",
  "spiffe://cluster.local/ns/a/SA/b",
  "spiffe://cluster.local/sa/a/ns/b",
  "spiffe://cluster.local",
]) {
  test(`parseSpiffeId() refuses ${JSON.stringify(text)}`, () => {
    assert.equal(parseSpiffeId(text), undefined);
    assert.equal(asSpiffeId(text), undefined);
  });
}

test("principalOf() leaves the scheme out", () => {
  assert.equal(principalOf(spiffeId({ trustDomain: "td", namespace: "a", serviceAccount: "b" })), "td/ns/a/sa/b");
});
