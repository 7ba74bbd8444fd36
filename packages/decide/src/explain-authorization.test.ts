import assert from "node:assert/strict";
import test from "node:test";
import type { Authorization } from "@ambit/core";
import { authorization, clause, identity, ip, socketAddress } from "@ambit/testkit";
import type { PolicySet } from "./authorize.ts";
import { formatDecision } from "./decision.ts";
import { explainAuthorization } from "./explain-authorization.ts";
import type { ConnectionFacts } from "./match.ts";

const facts: ConnectionFacts = {
  sourceIp: ip("10.1.0.7"),
  identity: identity("default", "curl"),
  destination: socketAddress("10.2.0.9:9081"),
};
const lines = (...policies: Authorization[]) => formatDecision(explainAuthorization({ policies, unknown: [] }, facts));
const viewer = () => authorization().named("viewer").inNamespace("bookinfo");

test("formatDecision() shows the list that decides, the near miss and what would allow", () => {
  const policy = viewer()
    .rule({ principals: ["cluster.local/ns/default/sa/curl"] }, { destinationPorts: [9080] })
    .build();
  assert.deepEqual(lines(policy), [
    "policy bookinfo/viewer                                      ALLOW, 1 rule: does not match",
    "rule[0].from principals [cluster.local/ns/default/sa/curl]  matches",
    "rule[0].to ports [9080]                                     9081 does not match  <-- decides",
    "verdict                                                     allow policies exist, but none allowed",
    "near miss: rule[0] of policy bookinfo/viewer matched all but the ports",
    "would be allowed if: rule[0].to.ports contained 9081",
  ]);
});

test("explainAuthorization() names the nearest of several rules", () => {
  const policy = viewer()
    .rule({ namespaces: ["other"] }, { destinationPorts: [1] })
    .rule({ namespaces: ["other"] }, { destinationPorts: [9081] })
    .build();
  const { nearMiss } = explainAuthorization({ policies: [policy], unknown: [] }, facts);
  assert.deepEqual(nearMiss, {
    text: "rule[1] of policy bookinfo/viewer matched all but the namespaces",
    remedy: "would be allowed if: rule[1].from.namespaces contained default",
  });
});

test("explainAuthorization() names the nearest of several matches of a clause, and exclusions as such", () => {
  const sources = clause(
    { namespaces: ["other"], sourceIps: ["1.1.1.1"] },
    { namespaces: ["default"], notSourceIps: ["10.0.0.0/8"] },
  );
  const decision = explainAuthorization({ policies: [viewer().rule(sources).build()], unknown: [] }, facts);
  assert.deepEqual(decision.nearMiss, {
    text: "rule[0] of policy bookinfo/viewer matched all but the notIpBlocks",
    remedy: "would be allowed if: rule[0].from[1].notIpBlocks did not contain 10.1.0.7",
  });
  assert.ok(formatDecision(decision).some((line) => line.includes("10.1.0.7 is excluded")));
});

test("explainAuthorization() tells a plaintext client that it has no identity", () => {
  const strict = authorization()
    .named("strict")
    .inNamespace("root")
    .denying()
    .rule({ notPrincipals: ["*"] })
    .build();
  const decision = explainAuthorization({ policies: [strict], unknown: [] }, { ...facts, identity: undefined });
  assert.deepEqual(formatDecision(decision), [
    "policy root/strict              DENY, 1 rule: matches  <-- decides",
    "rule[0].from notPrincipals [*]  no identity is not among them",
    "near miss: root/strict denies",
    "would be allowed if: policy root/strict rule[0] did not match",
  ]);
});

test("explainAuthorization() counts every denial that stands in the way, and a missing permission", () => {
  const deny = (name: string) =>
    viewer()
      .named(name)
      .denying()
      .rule({ namespaces: ["default"] })
      .build();
  const allow = viewer()
    .named("allow")
    .rule({ namespaces: ["other"] })
    .build();
  const { nearMiss } = explainAuthorization({ policies: [deny("a"), deny("b"), allow], unknown: [] }, facts);
  assert.deepEqual(nearMiss, {
    text: "bookinfo/a and bookinfo/b deny, and no ALLOW policy matches either",
    remedy:
      "would be allowed if: policy bookinfo/a rule[0] did not match and policy bookinfo/b rule[0] did not match and an ALLOW rule matched",
  });
});

test("explainAuthorization() warns of a DENY that nearly fired on an allowed connection", () => {
  const policy = viewer()
    .denying()
    .rule({ namespaces: ["default"] }, { destinationPorts: [9080] })
    .build();
  const decision = explainAuthorization({ policies: [policy], unknown: [] }, facts);
  assert.equal(decision.outcome.kind, "allow");
  assert.equal(decision.nearMiss?.remedy, "would be denied if: rule[0].to.ports contained 9081");
  assert.equal(decision.reasons.at(-1)?.decides, true);
});

test("explainAuthorization() says why nothing is allowed while a policy is missing", () => {
  const set: PolicySet = { policies: [viewer().rule().build()], unknown: ["bookinfo/late" as PolicySet["unknown"][number]] };
  const decision = explainAuthorization(set, facts);
  assert.equal(decision.outcome.kind, "deny");
  assert.equal(decision.nearMiss, undefined);
  assert.match(formatDecision(decision)[0] ?? "", /^policy bookinfo\/late .*not yet known.*<-- decides$/);
});

test("explainAuthorization() shows dry-run policies without letting them decide", () => {
  const decision = explainAuthorization({ policies: [viewer().denying().asDryRun().rule().build()], unknown: [] }, facts);
  assert.equal(decision.outcome.kind, "allow");
  assert.deepEqual(formatDecision(decision), [
    "policy bookinfo/viewer  DENY, 1 rule, dry run: does not decide: matches",
    "rule[0]                 empty, matches everything",
    "verdict                 no policy denies and no ALLOW policy applies: allowed  <-- decides",
  ]);
});

test("explainAuthorization() names further conditions when, in their order", () => {
  const policy = viewer()
    .rule(
      { namespaces: ["default"] },
      { destinationPorts: [9081] },
      { sourceIps: ["10.0.0.0/8"] },
      { destinationIps: ["10.2.0.9"] },
    )
    .build();
  const subjects = explainAuthorization({ policies: [policy], unknown: [] }, facts).reasons.map((reason) => reason.subject);
  assert.deepEqual(subjects.slice(1), [
    "rule[0].from namespaces [default]",
    "rule[0].to ports [9081]",
    "rule[0].when[0] ipBlocks [10.0.0.0/8]",
    "rule[0].when[1] destinationIps [10.2.0.9/32]",
  ]);
});

test("explainAuthorization() says so when no policy applies", () => {
  assert.deepEqual(lines(), ["verdict  no policy applies: allowed  <-- decides"]);
});
