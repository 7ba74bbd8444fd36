import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_SELECTORS, decideEligibility, type EnrolmentFacts } from "./eligibility.ts";

const options = { selectors: DEFAULT_SELECTORS, excludedNamespaces: ["kube-system"], systemNamespace: "ambit-system" };
const pod: EnrolmentFacts = { namespace: "default", labels: {}, annotations: {}, hostNetwork: false };
const mode = (value: string) => ({ "istio.io/dataplane-mode": value });

for (const [podMode, namespaceMode, outcome] of [
  [undefined, undefined, "skip"],
  [undefined, "ambient", "enrol"],
  [undefined, "none", "skip"],
  ["ambient", undefined, "enrol"],
  ["ambient", "none", "enrol"],
  ["none", "ambient", "skip"],
  ["something", "ambient", "enrol"],
  ["something", undefined, "skip"],
] as const) {
  test(`decideEligibility() says ${outcome} when the pod is ${podMode ?? "unlabelled"} and the namespace ${namespaceMode ?? "unlabelled"}`, () => {
    const labelled = { ...pod, labels: podMode === undefined ? {} : mode(podMode) };
    const eligibility = decideEligibility(labelled, namespaceMode === undefined ? {} : mode(namespaceMode), options);
    assert.equal(eligibility.kind, outcome);
    assert.match(eligibility.reason, /istio\.io\/dataplane-mode/);
  });
}

test("decideEligibility() puts the hard exclusions before the labels", () => {
  const ambient = { ...pod, labels: mode("ambient") };
  for (const [excluded, reason] of [
    [{ ...ambient, hostNetwork: true }, /node's network/],
    [{ ...ambient, annotations: { "sidecar.istio.io/status": "{}" } }, /sidecar/],
    [{ ...ambient, namespace: "kube-system" }, /kube-system is excluded/],
    [{ ...ambient, namespace: "ambit-system", labels: { ...ambient.labels, app: "ztunnel" } }, /node proxy/],
  ] as const) {
    const eligibility = decideEligibility(excluded, mode("ambient"), options);
    assert.equal(eligibility.kind, "skip");
    assert.match(eligibility.reason, reason);
  }
});

test("decideEligibility() evaluates custom selectors with expressions", () => {
  const selector = {
    podSelector: { matchLabels: {}, matchExpressions: [{ key: "mesh", operator: "Exists" as const }] },
    namespaceSelector: {
      matchLabels: {},
      matchExpressions: [{ key: "env", operator: "In" as const, values: ["prod", "stage"] }],
    },
  };
  const decide = (labels: Record<string, string>, namespaceLabels: Record<string, string>) =>
    decideEligibility({ ...pod, labels }, namespaceLabels, { ...options, selectors: [selector] }).kind;
  assert.equal(decide({ mesh: "" }, { env: "prod" }), "enrol");
  assert.equal(decide({ mesh: "" }, { env: "dev" }), "skip");
  assert.equal(decide({}, { env: "prod" }), "skip");
});
