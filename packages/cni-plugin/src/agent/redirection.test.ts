import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { DEFAULT_PROBE_SOURCES, hostRules, inpodRules, type RedirectionSettings, redirectionSettings } from "./redirection.ts";
import { applyText, type RuleSet } from "./rule-set.ts";

const plain: RedirectionSettings = { captureInbound: true, captureDns: false, virtualInterfaces: [] };

/** Compares with `testdata/<name>.golden`; UPDATE_GOLDEN=1 rewrites it. */
function assertGolden(name: string, rules: RuleSet): void {
  const file = new URL(`testdata/${name}.golden`, import.meta.url);
  const text = applyText(rules, new Map());
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(file, text);
  assert.equal(text, readFileSync(file, "utf8"));
}

for (const family of [4, 6] as const) {
  test(`inpodRules() gives the plain rules for IPv${family}`, () => {
    assertGolden(`plain-v${family}`, inpodRules(plain, DEFAULT_PROBE_SOURCES, family));
  });
  test(`inpodRules() captures DNS for IPv${family}`, () => {
    assertGolden(`dns-v${family}`, inpodRules({ ...plain, captureDns: true }, DEFAULT_PROBE_SOURCES, family));
  });
  test(`hostRules() gives node probes their source for IPv${family}`, () => {
    const probe = family === 4 ? DEFAULT_PROBE_SOURCES.v4 : DEFAULT_PROBE_SOURCES.v6;
    assertGolden(`host-v${family}`, hostRules(`istio-inpod-probes-v${family}`, probe, family));
  });
}

test("inpodRules() leaves inbound plaintext alone in ingress mode", () => {
  assertGolden("ingress-v4", inpodRules({ ...plain, captureInbound: false, captureDns: true }, DEFAULT_PROBE_SOURCES, 4));
});

test("inpodRules() treats virtual interfaces as outbound, before everything else", () => {
  assertGolden("virtual-interfaces-v4", inpodRules({ ...plain, virtualInterfaces: ["tap0", "vm1"] }, DEFAULT_PROBE_SOURCES, 4));
});

test("redirectionSettings() follows the annotations and ignores what is not a boolean", () => {
  assert.deepEqual(redirectionSettings({}, true), { captureInbound: true, captureDns: true, virtualInterfaces: [] });
  assert.deepEqual(
    redirectionSettings(
      {
        "ambient.istio.io/bypass-inbound-capture": "T",
        "ambient.istio.io/dns-capture": "0",
        "istio.io/reroute-virtual-interfaces": "tap0, tun+",
      },
      true,
    ),
    { captureInbound: false, captureDns: false, virtualInterfaces: ["tap0", "tun+"] },
  );
  assert.equal(redirectionSettings({ "ambient.istio.io/dns-capture": "yes" }, true).captureDns, true);
  assert.equal(redirectionSettings({ "ambient.istio.io/bypass-inbound-capture": "yes" }, true).captureInbound, true);
});

test("redirectionSettings() refuses an interface name that would write rules of its own", () => {
  for (const name of ["eth0\n-A OUTPUT -j ACCEPT", "eth0 -j ACCEPT", "a-name-far-too-long-for-linux"]) {
    assert.throws(() => redirectionSettings({ "istio.io/reroute-virtual-interfaces": name }, true), {
      code: "CNI_ANNOTATION_INVALID",
    });
  }
});
