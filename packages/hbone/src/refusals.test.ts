import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode, type MeshError } from "@ambit/core";
import { createTestAuthority } from "@ambit/testkit";
import type { OpenTunnelResult } from "./contract.ts";
import {
  authority,
  CLIENT,
  deafServer,
  eventually,
  FarProxy,
  LOOPBACK,
  NearProxy,
  Reader,
  SERVER,
  spiffe,
  startLoop,
  tcpClient,
  tcpEcho,
  tcpServer,
} from "./rig.testing.ts";

function failure(result: OpenTunnelResult): MeshError {
  assert.ok(result.kind === "failed", `is ${result.kind}`);
  return result.error;
}

test("openTunnel() is refused with the peer's status, and the session stays", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine, { onTunnel: (tunnel) => tunnel.refuse(Number(tunnel.authority.split(":")[1])) });
  const near = new NearProxy(engine, far);
  for (const status of [400, 401, 503, 204]) {
    const result = await near.open(`10.0.0.1:${status}`);
    assert.deepEqual(result, { kind: "refused", status, headers: [] });
  }
  assert.equal(near.pool.sessions, 1);
  assert.equal(far.sessions.length, 1);
  assert.deepEqual(far.failures, []);
});

test("openTunnel() gives 503 when the far proxy cannot reach the application", async (t) => {
  const engine = startLoop(t);
  const near = new NearProxy(engine, new FarProxy(engine));
  const result = await near.open("127.0.0.1:1");
  assert.equal(result.kind === "refused" && result.status, 503);
});

test("openTunnel() fails when the peer proves another identity than expected", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const near = new NearProxy(engine, far);
  const other = spiffe("spiffe://cluster.local/ns/b/sa/other");
  const error = failure(await near.open("10.0.0.1:80", { expectedIdentities: [other] }));
  assert.equal(error.code, "HBONE_PEER_UNVERIFIED");
  assert.match(error.message, /ns\/b\/sa\/server.*expected.*ns\/b\/sa\/other/);
  assert.equal(failure(await near.open("10.0.0.1:80", { expectedIdentities: [] })).code, "HBONE_PEER_UNVERIFIED");
  assert.equal(far.tunnels.length, 0);
  await eventually(() => near.pool.sessions === 0);
});

test("A client of another trust domain is refused by the server", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const foreign = engine.credentials(authority.issue({ uris: ["spiffe://other.example/ns/a/sa/client"] }));
  const near = new NearProxy(engine, far, { credentials: foreign });
  const error = failure(await near.open("10.0.0.1:80"));
  assert.match(error.code, /HBONE_SESSION_LOST|HBONE_TLS_FAILED/);
  await eventually(() => far.closed === 1);
  assert.equal(far.failures[0]?.code, "HBONE_PEER_UNVERIFIED");
  assert.equal(far.tunnels.length, 0);
});

test("A peer of another root is refused on both sides", async (t) => {
  const engine = startLoop(t);
  const stranger = createTestAuthority("stranger");
  const far = new FarProxy(engine, { credentials: engine.credentials(stranger.issue({ uris: [SERVER] })) });
  const near = new NearProxy(engine, far);
  const error = failure(await near.open("10.0.0.1:80"));
  assert.equal(error.code, "HBONE_PEER_UNVERIFIED");
  assert.match(error.message, /self-signed certificate in certificate chain/);
  await eventually(() => far.closed === 1);
  assert.equal(far.failures[0]?.code, "HBONE_TLS_FAILED");
  const far2 = new FarProxy(engine);
  const near2 = new NearProxy(engine, far2, {
    credentials: engine.credentials({ ...stranger.issue({ uris: [CLIENT] }), roots: authority.rootPem }),
  });
  assert.match(failure(await near2.open("10.0.0.1:80")).code, /HBONE_TLS_FAILED|HBONE_SESSION_LOST/);
  await eventually(() => far2.failures[0]?.code === "HBONE_PEER_UNVERIFIED");
});

test("openTunnel() fails with HBONE_CONNECT_FAILED when nobody listens or nobody answers", async (t) => {
  const engine = startLoop(t);
  const near = new NearProxy(engine, new FarProxy(engine));
  const refused = failure(await near.open("10.0.0.1:80", { remote: { ip: LOOPBACK, port: 1 } }));
  assert.equal(refused.code, "HBONE_CONNECT_FAILED");
  assert.ok(hasCode(refused.cause as MeshError, "ENGINE_CONNECT_REFUSED"));
  assert.equal(near.pool.sessions, 0);
});

test("openTunnel() fails with HBONE_CONNECT_FAILED when the peer's node does not answer", async (t) => {
  const engine = startLoop(t);
  const near = new NearProxy(engine, new FarProxy(engine));
  const remote = { ip: LOOPBACK, port: await deafServer(t) };
  const error = failure(await near.open("10.0.0.1:80", { remote, connectTimeoutMs: 100 }));
  assert.equal(error.code, "HBONE_CONNECT_FAILED");
  assert.ok(hasCode(error.cause as MeshError, "ENGINE_CONNECT_TIMED_OUT"));
  assert.equal(near.pool.sessions, 0);
});

test("openTunnel() fails with HBONE_HANDSHAKE_TIMED_OUT when the peer accepts and says nothing", async (t) => {
  const engine = startLoop(t);
  const near = new NearProxy(engine, new FarProxy(engine));
  const port = await tcpServer(t, {}, () => undefined);
  const remote = { ip: LOOPBACK, port };
  const error = failure(await near.open("10.0.0.1:80", { remote, connectTimeoutMs: 100 }));
  assert.equal(error.code, "HBONE_HANDSHAKE_TIMED_OUT");
  assert.equal(near.pool.sessions, 0);
});

test("acceptHbone() gives up a client that connects and says nothing", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine, { handshakeTimeoutMs: 100 });
  const socket = tcpClient(t, far.address.port);
  socket.on("error", () => undefined);
  await eventually(() => far.closed === 1);
  assert.deepEqual(
    far.failures.map((error) => error.code),
    ["HBONE_HANDSHAKE_TIMED_OUT"],
  );
});

test("openTunnel() fails when the peer is no TLS server, or breaks off the handshake", async (t) => {
  const engine = startLoop(t);
  const near = new NearProxy(engine, new FarProxy(engine));
  const http = await tcpServer(t, {}, (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  assert.equal(failure(await near.open("10.0.0.1:80", { remote: { ip: LOOPBACK, port: http } })).code, "HBONE_TLS_FAILED");
  const broken = await tcpServer(t, {}, (socket) => socket.once("data", () => socket.resetAndDestroy()));
  const error = failure(await near.open("10.0.0.1:80", { remote: { ip: LOOPBACK, port: broken } }));
  assert.match(error.code, /HBONE_(TLS_FAILED|SESSION_LOST)/);
});

test("A CONNECT header that cannot be sent fails that tunnel only", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const near = new NearProxy(engine, far);
  const port = await tcpEcho(t);
  assert.equal(failure(await near.open(`127.0.0.1:${port}`, { headers: [["bad name", "x"]] })).code, "HBONE_REQUEST_INVALID");
  assert.equal(failure(await near.open(`127.0.0.1:${port}`, { headers: [["x", "a\r\nb"]] })).code, "HBONE_REQUEST_INVALID");
  const reader = new Reader(await near.tunnel(`127.0.0.1:${port}`, { headers: [["x", "y"]] }));
  assert.equal(reader.error, undefined);
  assert.equal(far.sessions.length, 1);
});
