import assert from "node:assert/strict";
import test from "node:test";
import type { Authorization } from "@ambit/core";
import { authorization, clause, identity, ip, meshView, socketAddress, workload } from "@ambit/testkit";
import { authorize, type PolicySet, policiesFor } from "./authorize.ts";
import type { ConnectionFacts } from "./match.ts";

const facts: ConnectionFacts = {
  sourceIp: ip("10.1.0.7"),
  identity: identity("shop", "cart"),
  destination: socketAddress("10.2.0.9:8080"),
};
const setOf = (...policies: Authorization[]): PolicySet => ({ policies, unknown: [] });
const hit = { namespaces: ["shop"] };
const miss = { namespaces: ["other"] };
const allowHit = authorization().named("allow-hit").allowing().rule(hit).build();
const allowMiss = authorization().named("allow-miss").allowing().rule(miss).build();
const denyHit = authorization().named("deny-hit").denying().rule(hit).build();
const denyMiss = authorization().named("deny-miss").denying().rule(miss).build();
const NONE = "allow policies exist, but none allowed";

const cases: readonly [name: string, set: PolicySet, denied: string | undefined][] = [
  ["no policies", setOf(), undefined],
  ["an ALLOW that matches", setOf(allowHit), undefined],
  ["an ALLOW that does not", setOf(allowMiss), NONE],
  ["a second ALLOW that matches", setOf(allowMiss, allowHit), undefined],
  ["a DENY that matches", setOf(denyHit), "explicitly denied by: default/deny-hit"],
  ["a DENY that does not", setOf(denyMiss), undefined],
  ["a DENY beside an ALLOW that matches", setOf(allowHit, denyHit), "explicitly denied by: default/deny-hit"],
  ["a DENY that does not match beside an ALLOW that does not", setOf(denyMiss, allowMiss), NONE],
  ["an ALLOW without rules", setOf(authorization().allowing().build()), NONE],
  ["a DENY without rules", setOf(authorization().denying().build()), undefined],
  ["an ALLOW with an empty rule", setOf(authorization().allowing().rule().build()), undefined],
  [
    "a DENY with an empty rule",
    setOf(authorization().named("all").denying().rule().build()),
    "explicitly denied by: default/all",
  ],
  ["an ALLOW rule with an empty clause", setOf(authorization().allowing().rule(clause()).build()), undefined],
  ["an ALLOW rule with an empty match", setOf(authorization().allowing().rule(clause({})).build()), NONE],
  [
    "clauses that all hold",
    setOf(
      authorization()
        .allowing()
        .rule(hit, { destinationPorts: [8080] })
        .build(),
    ),
    undefined,
  ],
  [
    "clauses of which one fails",
    setOf(
      authorization()
        .allowing()
        .rule(hit, { destinationPorts: [1] })
        .build(),
    ),
    NONE,
  ],
  ["a clause with a second match that holds", setOf(authorization().allowing().rule(clause(miss, hit)).build()), undefined],
  ["a second rule that holds", setOf(authorization().allowing().rule(miss).rule(hit).build()), undefined],
  ["a dry-run DENY that matches", setOf(authorization().denying().asDryRun().rule(hit).build()), undefined],
  ["a dry-run ALLOW that does not match", setOf(authorization().allowing().asDryRun().rule(miss).build()), undefined],
  [
    "a dry-run ALLOW beside a real one that does not",
    setOf(authorization().allowing().asDryRun().rule(hit).build(), allowMiss),
    NONE,
  ],
];

for (const [name, set, denied] of cases) {
  test(`authorize() ${denied === undefined ? "allows" : "denies"} with ${name}`, () => {
    const verdict = authorize(set, facts);
    assert.equal(verdict.kind === "deny" ? verdict.reason : undefined, denied);
  });
}

test("authorize() tells of dry-run policies that match, and of no others", () => {
  const seen: string[] = [];
  const set = setOf(
    authorization().named("dry-deny").denying().asDryRun().rule(hit).build(),
    authorization().named("dry-miss").denying().asDryRun().rule(miss).build(),
    authorization().named("dry-allow").allowing().asDryRun().rule(hit).build(),
    denyMiss,
  );
  assert.equal(authorize(set, facts, (policy) => seen.push(policy.name)).kind, "allow");
  assert.deepEqual(seen, ["dry-deny", "dry-allow"]);
});

test("policiesFor() takes the namespace's, the mesh's and the workload's own, each once", () => {
  const ofNamespace = authorization().named("ns").inNamespace("shop").build();
  const otherNamespace = authorization().named("ns").inNamespace("other").build();
  const global = authorization().named("mesh").inNamespace("root").forWholeMesh().build();
  const selected = authorization().named("sel").inNamespace("shop").forSelector().build();
  const notSelected = authorization().named("sel2").inNamespace("shop").forSelector().build();
  const view = meshView({ policies: [ofNamespace, otherNamespace, global, selected, notSelected] });
  const target = workload().inNamespace("shop").underPolicies("shop/sel", "shop/ns").build();
  assert.deepEqual(policiesFor(view, target), { policies: [ofNamespace, global, selected], unknown: [] });
});

test("authorize() denies while a policy attached to the workload is not known, and allows once it is", () => {
  const target = workload().inNamespace("shop").underPolicies("shop/late").build();
  const before = authorize(policiesFor(meshView({}), target), facts);
  assert.deepEqual(before, { kind: "deny", reason: "policy shop/late is not yet known", policy: "shop/late" });
  const late = authorization().named("late").inNamespace("shop").forSelector().rule(hit).build();
  assert.equal(authorize(policiesFor(meshView({ policies: [late] }), target), facts).kind, "allow");
});
