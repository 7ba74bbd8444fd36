import assert from "node:assert/strict";
import test from "node:test";
import { ip, meshView, type ServiceBuilder, service } from "@ambit/testkit";
import { hostnameCandidates, preferredService, serviceByAddress, serviceByHostname } from "./hostnames.ts";

const shared = (namespace: string) =>
  service().named("db").inNamespace(namespace).withHostname("db.example.com").with({ canonical: false });
const own = shared("own");
const canonical = shared("kube").with({ canonical: true });
const favourite = shared("favourite");
const other = shared("other");
const secret = shared("secret").with({ visibility: "namespace", canonical: true });

const preferences: readonly [name: string, candidates: ServiceBuilder[], expected: string | undefined][] = [
  ["own namespace before canonical", [other, canonical, own], "own"],
  ["canonical before the preferred namespace", [other, favourite, canonical], "kube"],
  ["the preferred namespace before the first", [other, favourite], "favourite"],
  ["the first of equals", [other, shared("another")], "other"],
  ["nothing that is not visible", [secret], undefined],
  ["what is visible, however low", [secret, other], "other"],
  ["nothing of nothing", [], undefined],
];

for (const [name, candidates, expected] of preferences) {
  test(`preferredService() takes ${name}`, () => {
    const services = candidates.map((candidate) => candidate.build());
    assert.equal(preferredService(services, "own", "favourite")?.namespace, expected);
  });
}

test("preferredService() shows a namespace-visible service to its own namespace", () => {
  assert.equal(preferredService([secret.build()], "secret")?.namespace, "secret");
});

const blocks: readonly [name: string, candidates: ServiceBuilder[], expected: string | undefined][] = [
  ["an exact address before a block of the own namespace", [own.at("10.0.0.0/24"), shared("x").at("10.0.0.5")], "x"],
  ["own namespace before a longer block", [own.at("10.0.0.0/8"), shared("x").at("10.0.0.0/24")], "own"],
  ["the longer block", [shared("x").at("10.0.0.0/16"), shared("y").at("10.0.0.0/24")], "y"],
  ["canonical of equal blocks", [shared("x").at("10.0.0.0/16"), canonical.at("10.0.0.0/16")], "kube"],
  ["the longer block before canonical", [canonical.at("10.0.0.0/16"), shared("x").at("10.0.0.0/17")], "x"],
  ["no block of another network", [shared("x").at("n2@10.0.0.0/16")], undefined],
  ["no block that is not visible", [secret.at("10.0.0.0/16")], undefined],
  ["a block when the exact address is not visible", [secret.at("10.0.0.5"), shared("x").at("10.0.0.0/16")], "x"],
];

for (const [name, candidates, expected] of blocks) {
  test(`serviceByAddress() takes ${name}`, () => {
    const view = meshView({ services: candidates.map((candidate) => candidate.build()) });
    assert.equal(serviceByAddress(view, "", ip("10.0.0.5"), "own")?.namespace, expected);
  });
}

test("hostnameCandidates() goes from the name to ever wider wildcards", () => {
  assert.deepEqual(hostnameCandidates("a.b.c"), ["a.b.c", "*.b.c", "*.c"]);
  assert.deepEqual(hostnameCandidates("a"), ["a"]);
});

test("serviceByHostname() prefers the exact name, then the narrowest wildcard", () => {
  const named = (hostname: string) => service().named(hostname).withHostname(hostname).build();
  const view = meshView({ services: [named("*.com"), named("*.example.com"), named("www.example.com")] });
  const found = (hostname: string) => serviceByHostname(view, hostname, "default")?.hostname;
  assert.equal(found("www.example.com"), "www.example.com");
  assert.equal(found("api.example.com"), "*.example.com");
  assert.equal(found("a.b.example.com"), "*.example.com");
  assert.equal(found("example.com"), "*.com");
  assert.equal(found("example.org"), undefined);
});
