import assert from "node:assert/strict";
import test from "node:test";
import { parseIp } from "@ambit/core";
import { identity, ip, type MatchText, match, socketAddress } from "@ambit/testkit";
import { type Check, type ConnectionFacts, matchHolds, stringMatches, subjectOf } from "./match.ts";

const mesh: ConnectionFacts = {
  sourceIp: ip("10.1.0.7"),
  identity: identity("shop", "cart"),
  destination: socketAddress("10.2.0.9:8080"),
};
const plaintext: ConnectionFacts = { ...mesh, identity: undefined };
const v6: ConnectionFacts = { ...mesh, sourceIp: ip("fd00::7"), destination: socketAddress("[fd00:1::9]:8080") };

const cases: readonly [name: string, facts: ConnectionFacts, text: MatchText, holds: boolean][] = [
  ["nothing set", mesh, {}, false],
  ["nothing set, plaintext", plaintext, {}, false],
  ["exact principal", mesh, { principals: ["cluster.local/ns/shop/sa/cart"] }, true],
  ["principal with the scheme is another string", mesh, { principals: ["spiffe://cluster.local/ns/shop/sa/cart"] }, false],
  ["other principal", mesh, { principals: ["cluster.local/ns/shop/sa/checkout"] }, false],
  ["second of two principals", mesh, { principals: ["x", "cluster.local/ns/shop/sa/cart"] }, true],
  ["principal prefix", mesh, { principals: ["cluster.local/ns/shop/*"] }, true],
  ["principal suffix", mesh, { principals: ["*/sa/cart"] }, true],
  ["principal presence", mesh, { principals: ["*"] }, true],
  ["principal presence without identity", plaintext, { principals: ["*"] }, false],
  ["principal prefix of nothing without identity", plaintext, { principals: ["*"], notPrincipals: [] }, false],
  ["not principal presence without identity", plaintext, { notPrincipals: ["*"] }, true],
  ["not principal presence with identity", mesh, { notPrincipals: ["*"] }, false],
  ["namespace", mesh, { namespaces: ["shop"] }, true],
  ["namespace presence without identity", plaintext, { namespaces: ["*"] }, false],
  ["not namespace without identity", plaintext, { notNamespaces: ["shop"] }, true],
  ["not namespace", mesh, { notNamespaces: ["shop"] }, false],
  ["positive and negative hit", mesh, { namespaces: ["sh*"], notNamespaces: ["*op"] }, false],
  ["positive hit, no negative hit", mesh, { namespaces: ["sh*"], notNamespaces: ["*ip"] }, true],
  ["service account", mesh, { serviceAccounts: ["shop/cart"] }, true],
  ["service account of another namespace", mesh, { serviceAccounts: ["other/cart"] }, false],
  ["service account without identity", plaintext, { serviceAccounts: ["shop/cart"] }, false],
  ["not service account without identity", plaintext, { notServiceAccounts: ["shop/cart"] }, true],
  ["source block", mesh, { sourceIps: ["10.1.0.0/16"] }, true],
  ["source block, odd length", mesh, { sourceIps: ["10.1.0.6/31"] }, true],
  ["source block that ends before", mesh, { sourceIps: ["10.1.0.4/31"] }, false],
  ["source everything", mesh, { sourceIps: ["0.0.0.0/0"] }, true],
  ["v6 everything does not hold v4", mesh, { sourceIps: ["::/0"] }, false],
  ["v4 everything does not hold v6", v6, { sourceIps: ["0.0.0.0/0"] }, false],
  ["v6 block", v6, { sourceIps: ["fd00::/64"] }, true],
  ["mapped block holds v4", mesh, { sourceIps: ["::ffff:10.1.0.0/112"] }, true],
  ["not source block", mesh, { notSourceIps: ["10.1.0.0/16"] }, false],
  ["destination block", mesh, { destinationIps: ["10.2.0.9"] }, true],
  ["not destination block", mesh, { notDestinationIps: ["10.2.0.0/24"] }, false],
  ["port", mesh, { destinationPorts: [80, 8080] }, true],
  ["other port", mesh, { destinationPorts: [80] }, false],
  ["not port", mesh, { notDestinationPorts: [8080] }, false],
  ["all types hold", mesh, { namespaces: ["shop"], sourceIps: ["10.0.0.0/8"], destinationPorts: [8080] }, true],
  ["all types but one", mesh, { namespaces: ["shop"], sourceIps: ["10.0.0.0/8"], destinationPorts: [1] }, false],
];

for (const [name, facts, text, expected] of cases) {
  test(`matchHolds() is ${expected} for ${name}`, () => {
    const subject = subjectOf(facts);
    const checks: Check[] = [];
    assert.equal(matchHolds(match(text), subject), expected);
    assert.equal(matchHolds(match(text), subject, checks), expected);
    if (Object.keys(text).length > 0) assert.equal(checks.every((check) => check.holds) && checks.length > 0, expected);
  });
}

test("matchHolds() judges a mapped peer address as IPv4", () => {
  const sourceIp = parseIp("::ffff:10.1.0.7");
  assert.ok(sourceIp !== undefined);
  assert.equal(matchHolds(match({ sourceIps: ["10.1.0.0/16"] }), subjectOf({ ...mesh, sourceIp })), true);
});

test("stringMatches() compares byte-wise and takes presence as not empty", () => {
  assert.equal(stringMatches({ kind: "exact", value: "a" }, "A"), false);
  assert.equal(stringMatches({ kind: "prefix", value: "" }, ""), true);
  assert.equal(stringMatches({ kind: "suffix", value: "b" }, "ab"), true);
  assert.equal(stringMatches({ kind: "presence" }, ""), false);
});
