import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "@ambit/testkit";
import { startControlPlane } from "./testing/control-plane.ts";

const policy = (port: string) => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: bookinfo}
spec: {action: DENY, rules: [{to: [{operation: {ports: [${port}]}}]}]}
`;

test("App keeps the last good state of bad YAML in force, says where it is bad, and goes on when it is mended", async (t) => {
  const plane = await startControlPlane(t);
  plane.put("policy.yaml", policy('"80"'));
  const { state } = plane.connect();
  const ports = () => state.policy("bookinfo/p" as never)?.rules[0]?.clauses[0]?.matches[0]?.destinationPorts;
  await eventually(() => assert.deepEqual(ports(), [80]));
  plane.put("policy.yaml", policy("81"));
  await eventually(async () => {
    const { refused } = JSON.parse((await plane.page("/debug/problems")).text);
    const [problem] = refused;
    assert.deepEqual(
      [problem?.file, problem?.line, problem?.path],
      ["policy.yaml", 4, "$.spec.rules[0].to[0].operation.ports[0]"],
    );
  });
  assert.deepEqual(ports(), [80]);
  assert.match((await plane.page("/metrics")).text, /pilot_refused_objects 1/);
  plane.put("policy.yaml", policy('"82"'));
  await eventually(() => assert.deepEqual(ports(), [82]));
});

test("App is ready once everything is there and serves version and metrics", async (t) => {
  const plane = await startControlPlane(t);
  assert.deepEqual(await plane.page("/healthz/ready"), { status: 200, text: "ready\n" });
  assert.match((await plane.page("/version")).text, /"component":"istiod-lite"/);
  assert.match((await plane.page("/metrics")).text, /citadel_server_root_cert_expiry_timestamp \d{10}/);
});

test("App does not start without keys to check tokens with", async (t) => {
  await assert.rejects(startControlPlane(t, { environment: { TOKEN_KEYS_FILE: "/nonexistent/keys.json" } }), {
    code: "ISTIOD_TOKEN_KEYS_UNREADABLE",
  });
});

test("App does not start when its port is taken, and says so", async (t) => {
  const plane = await startControlPlane(t);
  await assert.rejects(startControlPlane(t, { environment: { GRPC_PORT: `${plane.app.ports.grpc}` } }), {
    code: "ISTIOD_PORT_UNAVAILABLE",
  });
});
