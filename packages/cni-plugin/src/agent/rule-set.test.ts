import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSavedRules } from "@ambit/linux";
import { DEFAULT_PROBE_SOURCES, inpodRules } from "./redirection.ts";
import { applyText, compareRules, guardRules, removalText } from "./rule-set.ts";

const expected = inpodRules({ captureInbound: true, captureDns: true, virtualInterfaces: [] }, DEFAULT_PROBE_SOURCES, 4);
const builtIn = ":PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n";
/** What iptables-save would print after `text` was applied to empty tables. */
const savedAfter = (text: string) => parseSavedRules(text.replaceAll(/^\*(\w+)\n/gm, `*$1\n${builtIn}`));
const inPlace = applyText(expected, new Map());

test("compareRules() finds neither residue nor difference where it should not", () => {
  assert.deepEqual(compareRules(expected, savedAfter(inPlace)), { residue: true, differences: [] });
});

test("compareRules() calls an untouched namespace different but without residue", () => {
  const comparison = compareRules(expected, parseSavedRules(`*nat\n${builtIn}-A OUTPUT -p tcp -j ACCEPT\nCOMMIT\n`));
  assert.equal(comparison.residue, false);
  assert.ok(comparison.differences.includes("nat ISTIO_OUTPUT is missing"));
});

for (const [what, change, difference] of [
  [
    "a deleted jump",
    (text: string) => text.replace("-A OUTPUT -j ISTIO_OUTPUT\n", ""),
    /mangle OUTPUT does not lead to ISTIO_OUTPUT/,
  ],
  ["a doubled jump", (text: string) => text.replace(/(-A OUTPUT -j ISTIO_OUTPUT\n)/, "$1$1"), /leads to ISTIO_OUTPUT 2 times/],
  ["a changed rule", (text: string) => text.replace("--to-ports 15006", "--to-ports 15007"), /15007, expected .*15006/],
  [
    "an inserted rule",
    (text: string) => text.replace(/(-A ISTIO_OUTPUT -d)/, "-A ISTIO_OUTPUT -j RETURN\n$1"),
    /rule 1 is -j RETURN/,
  ],
  ["rules in another order", swapFirstTwoOutputRules, /nat ISTIO_OUTPUT rule 1/],
  [
    "a chain of another version",
    (text: string) => `${text}*nat\n:ISTIO_INBOUND - [0:0]\nCOMMIT\n`,
    /nat ISTIO_INBOUND should not exist/,
  ],
] as const) {
  test(`compareRules() names ${what}`, () => {
    const { residue, differences } = compareRules(expected, savedAfter(change(inPlace)));
    assert.equal(residue, true);
    assert.match(differences.join("\n"), difference);
  });
}

function swapFirstTwoOutputRules(text: string): string {
  return text.replace(/(-A ISTIO_OUTPUT -d [^\n]+\n)(-A ISTIO_OUTPUT [^\n]+\n)/, "$2$1");
}

test("applyText() does not repeat a jump that is there", () => {
  assert.doesNotMatch(applyText(expected, savedAfter(inPlace)), /-A OUTPUT/);
});

test("removalText() is empty when nothing is ours", () => {
  assert.equal(removalText(parseSavedRules(`*nat\n${builtIn}-A OUTPUT -j DOCKER\nCOMMIT\n`), false), "");
});

test("removalText() deletes jumps before chains, and only ours", () => {
  const saved = parseSavedRules(
    `*nat\n${builtIn}:ISTIO_OUTPUT - [0:0]\n-A OUTPUT -j DOCKER\n-A OUTPUT -p tcp -j ISTIO_OUTPUT\nCOMMIT\n`,
  );
  assert.equal(removalText(saved, false), "*nat\n-D OUTPUT -p tcp -j ISTIO_OUTPUT\n-F ISTIO_OUTPUT\n-X ISTIO_OUTPUT\nCOMMIT\n");
});

test("removalText() keeps the guard rails when told to", () => {
  const saved = parseSavedRules(applyText({ family: 4, ...guardRules }, new Map()));
  assert.equal(removalText(saved, true), "");
  assert.match(removalText(saved, false), /-X ISTIO_GUARD/);
});
