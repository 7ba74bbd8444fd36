import assert from "node:assert/strict";
import test from "node:test";
import { discoveryNode } from "./discovery-node.ts";

test("discoveryNode() has the control plane's id format and takes metadata from the environment", () => {
  const node = discoveryNode({
    proxyType: "ztunnel",
    podName: "zt-1",
    podNamespace: "ambit-system",
    nodeName: "n1",
    instanceIp: "10.0.0.9",
    environment: { ISTIO_META_CLUSTER_ID: "c1", ISTIO_METAJSON_LABELS: '{"a":1}', ISTIO_META_NAME: "not me", PATH: "/bin" },
  });
  assert.equal(node.id, "ztunnel~10.0.0.9~zt-1.ambit-system~ambit-system.svc.cluster.local");
  assert.deepEqual(node.metadata, {
    CLUSTER_ID: "c1",
    LABELS: { a: 1 },
    NAME: "zt-1",
    NAMESPACE: "ambit-system",
    INSTANCE_IPS: "10.0.0.9",
    NODE_NAME: "n1",
  });
});

test("discoveryNode() refuses metadata that is not JSON", () => {
  const facts = { proxyType: "ztunnel", podName: "z", podNamespace: "n", nodeName: "n1" } as const;
  assert.throws(() => discoveryNode({ ...facts, environment: { ISTIO_METAJSON_X: "{" } }), SyntaxError);
});
