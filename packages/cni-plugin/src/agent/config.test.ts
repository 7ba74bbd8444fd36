import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig } from "@ambit/runtime";
import { DEFAULT_SELECTORS } from "../eligibility.ts";
import { agentConfigSpec } from "./config.ts";

const required = { NODE_NAME: "n1", SOURCE_DIR: "/objects" };

test("agentConfigSpec has the defaults of the node agent's contract", () => {
  const config = loadConfig(agentConfigSpec, required);
  assert.equal(config.runDirectory, "/var/run/istio-cni");
  assert.equal(config.ztunnelSocket, "/var/run/ztunnel/ztunnel.sock");
  assert.equal(config.probeSourceV4, "169.254.7.127");
  assert.equal(config.metricsPort, 15014);
  assert.deepEqual([config.captureDns, config.ipv6, config.reconcileOnStart, config.cleanUpOnStop], [true, true, true, false]);
  assert.deepEqual(config.excludedNamespaces, ["kube-system"]);
  assert.deepEqual(config.enablementSelectors, DEFAULT_SELECTORS);
});

test("agentConfigSpec reads enablement selectors as the chart writes them", () => {
  const yaml =
    "- podSelector:\n    matchLabels: {mesh: 'on'}\n- namespaceSelector:\n    matchExpressions:\n    - {key: env, operator: In, values: [prod]}\n";
  const { enablementSelectors } = loadConfig(agentConfigSpec, { ...required, AMBIENT_ENABLEMENT_SELECTOR: yaml });
  assert.deepEqual(enablementSelectors, [
    {
      podSelector: { matchLabels: { mesh: "on" }, matchExpressions: [] },
      namespaceSelector: { matchLabels: {}, matchExpressions: [] },
    },
    {
      podSelector: { matchLabels: {}, matchExpressions: [] },
      namespaceSelector: { matchLabels: {}, matchExpressions: [{ key: "env", operator: "In", values: ["prod"] }] },
    },
  ]);
});

for (const [what, env] of [
  ["a missing node name", { SOURCE_DIR: "/objects" }],
  ["a selector with an unknown field", { ...required, AMBIENT_ENABLEMENT_SELECTOR: "- podselector: {}" }],
  ["a selector that is no YAML", { ...required, AMBIENT_ENABLEMENT_SELECTOR: "- {" }],
  ["no selector at all", { ...required, AMBIENT_ENABLEMENT_SELECTOR: "[]" }],
  ["an unknown backend", { ...required, FORCE_IPTABLES_BINARY: "ebtables" }],
  ["native nftables", { ...required, NATIVE_NFTABLES: "true" }],
  ["a probe source of the wrong family", { ...required, HOST_PROBE_SNAT_IP: "fd00::1" }],
] as const) {
  test(`agentConfigSpec refuses ${what}`, () => {
    assert.throws(() => loadConfig(agentConfigSpec, env), { code: "RUNTIME_CONFIG_INVALID" });
  });
}
