import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeObject, formatPath } from "./decode.ts";

function refusal(kind: string, spec: object, apiVersion = "security.istio.io/v1"): string {
  const decoded = decodeObject({ apiVersion, kind, metadata: { name: "p", namespace: "ns" }, spec });
  return decoded.kind === "refused" ? `${formatPath(decoded.path)} ${decoded.reason}` : decoded.kind;
}

test("decodeObject() refuses what an AuthorizationPolicy must not say, with path and remedy", () => {
  const rules = (rule: object) => refusal("AuthorizationPolicy", { rules: [rule] });
  assert.match(
    refusal("AuthorizationPolicy", { action: "DENY" }),
    /\$\.spec\.rules is missing: a DENY policy without rules never matches/,
  );
  assert.match(refusal("AuthorizationPolicy", { action: "deny", rules: [] }), /\$\.spec\.action must be ALLOW/);
  assert.match(rules({ from: [{ source: {} }] }), /source must set at least one field/);
  assert.match(rules({ from: [] }), /\$\.spec\.rules\[0\]\.from must not be empty/);
  assert.match(rules({ from: [{ source: { principals: ["spiffe://x"] } }] }), /without the spiffe/);
  assert.match(rules({ from: [{ source: { ipBlocks: ["10.0.0.0/33"] } }] }), /ipBlocks\[0\] must be an IP address/);
  assert.match(rules({ from: [{ source: { serviceAccounts: ["a*"] } }] }), /without wildcards/);
  assert.match(rules({ from: [{ source: { serviceAccounts: ["a"], namespaces: ["b"] } }] }), /may not combine/);
  assert.match(rules({ to: [{ operation: { ports: ["70000"] } }] }), /ports\[0\] must be a port from 1 to 65535/);
  assert.match(rules({ when: [{ key: "destination.labels", values: ["x"] }] }), /key is not a condition's key/);
  assert.match(rules({ when: [{ key: "source.ip", values: ["x"] }] }), /values\[0\] must be an IP address/);
  assert.match(rules({ whne: [] }), /whne is not a field of this kind/);
  assert.match(
    refusal("AuthorizationPolicy", { selector: { matchLabels: {} }, targetRefs: [{ kind: "Service", name: "x" }] }),
    /only one of selector/,
  );
  assert.equal(refusal("AuthorizationPolicy", {}), "object");
});

test("decodeObject() refuses port modes without selector in a PeerAuthentication", () => {
  assert.match(refusal("PeerAuthentication", { portLevelMtls: { "80": { mode: "STRICT" } } }), /needs a selector/);
  assert.match(refusal("PeerAuthentication", { mtls: { mode: "strict" } }), /\$\.spec\.mtls\.mode must be UNSET/);
});

test("decodeObject() ignores kinds that are not ours and refuses what is no object", () => {
  assert.equal(decodeObject({ kind: "ConfigMap", metadata: { name: "x" } }).kind, "ignored");
  assert.equal(decodeObject([]).kind, "refused");
  assert.equal(decodeObject({ metadata: {} }).kind, "refused");
});
