import assert from "node:assert/strict";
import { test } from "node:test";
import { authorization, clause, ip, meshView, service, workload } from "@ambit/testkit";
import { explainConnection } from "./explain-connection.ts";

const RATINGS = "bookinfo/ratings.bookinfo.svc.cluster.local";

function bookinfo(reviewsInMesh: boolean) {
  const source = workload()
    .named("reviews-v2-1")
    .inNamespace("bookinfo")
    .as("bookinfo-reviews")
    .onNode("n1")
    .at("10.244.1.2")
    .speaking(reviewsInMesh ? "hbone" : "none")
    .build();
  const ratings = workload()
    .named("ratings-v1-1")
    .inNamespace("bookinfo")
    .as("bookinfo-ratings")
    .onNode("n2")
    .at("10.244.2.2")
    .serving(RATINGS, { 9080: 9080 })
    .build();
  const ratingsService = service().named("ratings").inNamespace("bookinfo").at("10.96.0.9").onPorts({ 9080: 9080 }).build();
  return { source, ratings, ratingsService };
}

function explain(reviewsInMesh: boolean, allowed: string) {
  const { source, ratings, ratingsService } = bookinfo(reviewsInMesh);
  const policy = authorization()
    .named("viewer")
    .inNamespace("bookinfo")
    .allowing()
    .rule(clause({ principals: [`cluster.local/ns/bookinfo/sa/${allowed}`] }))
    .build();
  const view = meshView({ workloads: [source, ratings], services: [ratingsService], policies: [policy] });
  return explainConnection({
    sourceView: view,
    viewOfNode: () => view,
    source,
    destination: { ip: ip("10.96.0.9"), port: 9080 },
    service: ratingsService,
  });
}

test("explainConnection() allows when the destination's policy names the source's identity", () => {
  const { outcome, lines } = explain(true, "bookinfo-reviews");
  assert.equal(outcome, "allow");
  assert.match(lines.join("\n"), /mutual TLS/);
});

test("explainConnection() names the policy, the deciding attribute and the near miss when access is denied", () => {
  const { outcome, lines } = explain(true, "bookinfo-productpage");
  const text = lines.join("\n");
  assert.equal(outcome, "deny");
  assert.match(text, /policy bookinfo\/viewer/);
  assert.match(text, /<-- decides/);
  assert.match(text, /would be allowed if/);
  assert.match(text, /DENY: allow policies exist, but none allowed/);
});

test("explainConnection() shows a source outside the mesh as plaintext without identity", () => {
  const { outcome, endpoints } = explain(false, "bookinfo-reviews");
  assert.equal(outcome, "deny");
  assert.equal(endpoints[0]?.encrypted, false);
  assert.equal(endpoints[0]?.sourceIdentity, undefined);
});
