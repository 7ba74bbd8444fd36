import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSocketAddress, type SpiffeId } from "@ambit/core";
import type { ConnectionEvidence, Evidence } from "@ambit/wire";
import { joinPlaces, judgePath, pathConnections, type RequestPath } from "./path.ts";

const CART = "spiffe://cluster.local/ns/shop/sa/cart" as SpiffeId;
const PAYMENTS = "spiffe://cluster.local/ns/shop/sa/payments" as SpiffeId;
const WAYPOINT = "spiffe://cluster.local/ns/shop/sa/waypoint" as SpiffeId;

const path: RequestPath = {
  sourceIps: ["10.244.1.2"],
  localPort: 40_000,
  endedMs: 100,
  dialledIp: "10.96.0.11",
  endpoints: [{ ip: "10.244.2.3", port: 9080 }],
};

function connection(from: string, to: string, change: Partial<ConnectionEvidence> = {}): ConnectionEvidence {
  const [source, destination] = [from, to].map(parseSocketAddress);
  assert.ok(source && destination);
  return {
    source,
    destination,
    kind: "tls13",
    notes: [],
    cipherSuite: "TLS_AES_256_GCM_SHA384",
    serverName: undefined,
    alpn: "h2",
    clientIdentity: CART,
    serverIdentity: PAYMENTS,
    containsMarker: false,
    hasBeginning: true,
    isWhole: true,
    bytesUp: 10,
    bytesDown: 10,
    firstAtMs: 1,
    lastAtMs: 2,
    ...change,
  };
}

function evidence(...connections: ConnectionEvidence[]): Evidence {
  return { connections, frames: 9, otherFrames: 0, isMarkerInOtherFrames: false };
}

function judge(of: Evidence, dropped = 0, asked = path) {
  return judgePath([{ evidence: of, dropped }], pathConnections(of, asked));
}

const tunnel = connection("10.244.1.2:51000", "10.244.2.3:15008");

test("judgePath() finds the tunnel between source and endpoint among other connections", () => {
  const elsewhere = connection("10.244.1.2:51001", "10.244.2.9:15008", { clientIdentity: undefined });
  const control = connection("172.18.0.3:41000", "172.18.0.2:15012", { clientIdentity: undefined });
  const verdict = judge(evidence(control, elsewhere, tunnel));
  assert.deepEqual(verdict.connections, [tunnel]);
  assert.equal(verdict.isEncrypted, true);
  assert.equal(verdict.isMarkerAbsent, true);
  assert.deepEqual([verdict.clientIdentity, verdict.serverIdentity], [CART, PAYMENTS]);
});

test("judgePath() passes over what was opened after the request, unless the marker is in it", () => {
  const later = { ...connection("10.244.1.2:51002", "10.244.2.3:15008", { kind: "unknown" }), firstAtMs: 101 };
  assert.deepEqual(judge(evidence(tunnel, later)).connections, [tunnel]);
  assert.equal(judge(evidence(tunnel, { ...later, containsMarker: true })).connections.length, 2);
});

test("judgePath() finds plaintext by the application's own port, to the Service or to its endpoint", () => {
  const plain = { kind: "plaintext", clientIdentity: undefined, serverIdentity: undefined, containsMarker: true } as const;
  for (const to of ["10.96.0.11:80", "10.244.2.3:9080"]) {
    const verdict = judge(evidence(connection("10.244.1.2:40000", to, plain)));
    assert.equal(verdict.connections.length, 1);
    assert.deepEqual([verdict.isEncrypted, verdict.isMarkerAbsent, verdict.isMarkerReadable], [false, false, true]);
  }
});

test("judgePath() follows the path over a waypoint to the endpoint", () => {
  const first = connection("10.244.1.2:51000", "10.244.2.7:15008", { serverIdentity: WAYPOINT });
  const second = connection("10.244.2.7:52000", "10.244.2.3:15008", { clientIdentity: WAYPOINT });
  const verdict = judge(evidence(second, first));
  assert.deepEqual(verdict.connections, [first, second]);
  assert.deepEqual([verdict.clientIdentity, verdict.serverIdentity], [CART, PAYMENTS]);
});

test("judgePath() passes over sessions from before, unless there is no other", () => {
  const old = connection("10.244.1.2:50000", "10.244.2.3:15008", { kind: "unknown", hasBeginning: false, isWhole: false });
  assert.deepEqual(judge(evidence(old, tunnel)).connections, [tunnel]);
  const verdict = judge(evidence(old));
  assert.deepEqual(verdict.connections, [old]);
  assert.equal(verdict.isEncrypted, false);
});

test("judgePath() does not say absent when packets or bytes are missing, or the marker is anywhere", () => {
  assert.equal(judge(evidence(tunnel), 1).isMarkerAbsent, false);
  assert.equal(judge(evidence({ ...tunnel, isWhole: false })).isMarkerAbsent, false);
  const leak = connection("10.244.2.3:33000", "10.244.2.8:80", { kind: "plaintext", containsMarker: true });
  const leaked = judge(evidence(tunnel, leak));
  assert.deepEqual([leaked.isMarkerAbsent, leaked.isEncrypted, leaked.connections.length], [false, false, 2]);
  assert.equal(judge({ ...evidence(tunnel), isMarkerInOtherFrames: true }).isMarkerAbsent, false);
});

test("judgePath() proves nothing when no identity was shown, and nothing without connections", () => {
  assert.equal(judge(evidence({ ...tunnel, clientIdentity: undefined })).isEncrypted, false);
  const nothing = judge(evidence(tunnel), 0, { ...path, dialledIp: "", endpoints: [] });
  assert.deepEqual([nothing.connections.length, nothing.isEncrypted, nothing.isMarkerAbsent], [0, false, false]);
});

test("joinPlaces() prefers the wire for what comes that far, and keeps to the cable for what stays on the node", () => {
  const near = { ...path, endpoints: [...path.endpoints, { ip: "10.244.1.9", port: 9080 }] };
  const local = connection("10.244.1.2:51007", "10.244.1.9:15008");
  const old = connection("10.244.1.2:50000", "10.244.2.3:15008", { kind: "unknown", hasBeginning: false, isWhole: false });
  const stays = joinPlaces({ cable: evidence(local, old), wire: evidence(old) }, near);
  assert.deepEqual(stays, { connections: [local], crossesWire: false });

  const onWire = { ...tunnel, bytesUp: 11 };
  const both = joinPlaces({ cable: evidence(local, tunnel), wire: evidence(onWire) }, near);
  assert.deepEqual(both, { connections: [local, onWire], crossesWire: true });
});

test("joinPlaces() recognises a connection to a Service behind its endpoint's address, and adds what only the wire shows", () => {
  const plain = { kind: "plaintext", containsMarker: true } as const;
  const before = connection("10.244.1.2:40000", "10.96.0.11:80", plain);
  const after = connection("10.244.1.2:40000", "10.244.2.3:9080", plain);
  assert.deepEqual(joinPlaces({ cable: evidence(before), wire: evidence(after) }, path).connections, [after]);

  const first = connection("10.244.1.2:51000", "10.244.2.7:15008", { serverIdentity: WAYPOINT });
  const second = connection("10.244.2.7:52000", "10.244.2.3:15008", { clientIdentity: WAYPOINT });
  const places = { cable: evidence(first), wire: evidence(first, second) };
  assert.deepEqual(joinPlaces(places, path), { connections: [first, second], crossesWire: true });
});
