import assert from "node:assert/strict";
import net from "node:net";
import { type TestContext, test } from "node:test";
import type { EngineLoop } from "@ambit/engine";
import type { IncomingTunnel, OpenTunnelResult } from "./contract.ts";
import { hboneError } from "./errors.ts";
import type { HbonePoolOptions } from "./pool.ts";
import {
  authority,
  CLIENT,
  eventually,
  type FarOptions,
  FarProxy,
  LOOPBACK,
  NearProxy,
  Reader,
  SERVER,
  spiffe,
  startLoop,
  tcpEcho,
  tcpServer,
} from "./rig.testing.ts";

interface Rig {
  readonly engine: EngineLoop;
  readonly far: FarProxy;
  readonly near: NearProxy;
}

/** Accepts every tunnel and keeps it open. */
function rig(t: TestContext, pool: HbonePoolOptions = {}, far: FarOptions = {}): Rig {
  const engine = startLoop(t);
  const proxy = new FarProxy(engine, { onTunnel: hold, ...far });
  return { engine, far: proxy, near: new NearProxy(engine, proxy, pool) };
}

/** Accepts, and ends its own direction when the other one has ended. */
function hold(incoming: IncomingTunnel): void {
  const tunnel = incoming.accept([]);
  tunnel.handle({ onData: () => undefined, onEnd: () => tunnel.end(), onError: () => undefined });
}

function opened(results: readonly OpenTunnelResult[]): number {
  return results.filter((result) => result.kind === "open").length;
}

test("100 tunnels that are asked for at once share one session, the next ones get another", async (t) => {
  const { far, near } = rig(t);
  const results = await Promise.all(Array.from({ length: 100 }, (_, i) => near.open(`10.0.0.1:${i + 1}`)));
  assert.equal(opened(results), 100);
  assert.equal(far.sessions.length, 1);
  assert.equal(near.pool.sessions, 1);
  const more = await Promise.all(Array.from({ length: 101 }, () => near.open("10.0.0.1:80")));
  assert.equal(opened(more), 101);
  assert.equal(far.sessions.length, 3);
  assert.deepEqual(
    far.tunnels.slice(0, 100).map(({ authority }) => authority),
    Array.from({ length: 100 }, (_, i) => `10.0.0.1:${i + 1}`),
  );
});

test("A session that was full takes tunnels again after some have ended", async (t) => {
  const { far, near } = rig(t, { tunnelsPerSession: 2 });
  const first = await near.tunnel("10.0.0.1:80");
  await near.tunnel("10.0.0.1:80");
  const reader = new Reader(first);
  first.end();
  await eventually(() => reader.ended);
  await near.tunnel("10.0.0.1:80");
  assert.equal(far.sessions.length, 1);
  await near.tunnel("10.0.0.1:80");
  assert.equal(far.sessions.length, 2);
});

test("Sessions are shared only between the same source identity, expected identities, destination and source address", async (t) => {
  const { engine, far, near } = rig(t);
  const other = spiffe("spiffe://cluster.local/ns/a/sa/other");
  await near.tunnel("10.0.0.1:80");
  await near.tunnel("10.0.0.2:81");
  assert.equal(far.sessions.length, 1);
  await near.tunnel("10.0.0.1:80", { expectedIdentities: [SERVER, other] });
  assert.equal(far.sessions.length, 2);
  await near.tunnel("10.0.0.1:80", { expectedIdentities: [other, SERVER] });
  assert.equal(far.sessions.length, 3);
  await near.tunnel("10.0.0.1:80", { sourceIp: "127.0.0.2" as typeof LOOPBACK });
  assert.equal(far.sessions.length, 4);
  await near.tunnel("10.0.0.1:80", { credentials: engine.credentials(authority.issue({ uris: [other] })) });
  assert.equal(far.sessions.length, 5);
  assert.equal(far.sessions[4]?.peerIdentity, other);
  const far2 = new FarProxy(engine, { onTunnel: hold });
  await near.tunnel("10.0.0.1:80", { remote: far2.address });
  assert.equal(far2.sessions.length, 1);
  assert.equal(near.pool.sessions, 6);
});

test("All who wait for a session that fails are told", async (t) => {
  const { near } = rig(t);
  const remote = { ip: LOOPBACK, port: 1 };
  const results = await Promise.all(Array.from({ length: 5 }, () => near.open("10.0.0.1:80", { remote })));
  assert.deepEqual(
    results.map((result) => result.kind === "failed" && result.error.code),
    Array.from({ length: 5 }, () => "HBONE_CONNECT_FAILED"),
  );
  assert.equal(near.pool.sessions, 0);
});

test("retire() lets open tunnels run on, ends idle sessions, and leaves other identities alone", async (t) => {
  const { engine, far, near } = rig(t);
  const other = spiffe("spiffe://cluster.local/ns/a/sa/other");
  const tunnel = await near.tunnel("10.0.0.1:80");
  const reader = new Reader(tunnel);
  await near.tunnel("10.0.0.1:80", { credentials: engine.credentials(authority.issue({ uris: [other] })) });
  near.pool.retire(CLIENT);
  await near.tunnel("10.0.0.1:80");
  assert.equal(far.sessions.length, 3);
  assert.equal(near.pool.sessions, 3);
  tunnel.write(Buffer.from("still here"));
  tunnel.end();
  await eventually(() => reader.ended && far.closed === 1);
  assert.equal(reader.error, undefined);
  assert.equal(near.pool.sessions, 2);
  assert.deepEqual(far.failures, []);
});

test("retire() while a session is connecting serves those who wait for it, and nobody else", async (t) => {
  const { far, near } = rig(t);
  const first = near.tunnel("10.0.0.1:80");
  near.pool.retire(CLIENT);
  const second = near.tunnel("10.0.0.1:80");
  const reader = new Reader(await first);
  await second;
  assert.equal(far.sessions.length, 2);
  assert.equal(reader.error, undefined);
  (await first).end();
  await eventually(() => far.closed === 1 && near.pool.sessions === 1);
});

test("New credentials of the same identity get a new session", async (t) => {
  const { engine, far, near } = rig(t);
  await near.tunnel("10.0.0.1:80");
  await near.tunnel("10.0.0.1:80", { credentials: engine.credentials(authority.issue({ uris: [CLIENT] })) });
  assert.equal(far.sessions.length, 2);
});

test("drain() lets open tunnels run on, ends idle sessions and refuses new tunnels", async (t) => {
  const { far, near } = rig(t, { tunnelsPerSession: 1 });
  const idle = await near.tunnel("10.0.0.1:80");
  const busy = await near.tunnel("10.0.0.1:80");
  const idleReader = new Reader(idle);
  const busyReader = new Reader(busy);
  idle.end();
  await eventually(() => idleReader.ended);
  const waiting = near.open("10.0.0.1:80", { sourceIp: "127.0.0.2" as typeof LOOPBACK });
  near.pool.drain();
  await eventually(() => far.closed === 1);
  const late = await near.open("10.0.0.1:80");
  assert.equal(late.kind === "failed" && late.error.code, "HBONE_POOL_CLOSED");
  assert.equal((await waiting).kind, "open");
  busy.end();
  await eventually(() => busyReader.ended && far.closed === 2);
  assert.equal(busyReader.error, undefined);
  near.pool.close(hboneError("HBONE_POOL_CLOSED", "The deadline is over"));
  await eventually(() => near.pool.sessions === 0);
});

test("close() ends everything with the given error: open tunnels, waiting ones and those that are dialled", async (t) => {
  const { far, near } = rig(t);
  const tunnel = await near.tunnel("10.0.0.1:80");
  const reader = new Reader(tunnel);
  const waiting = near.open("10.0.0.1:80", { sourceIp: "127.0.0.2" as typeof LOOPBACK });
  near.pool.close(hboneError("HBONE_POOL_CLOSED", "The pod is gone"));
  const result = await waiting;
  assert.equal(result.kind === "failed" && result.error.message, "The pod is gone");
  await eventually(() => reader.error !== undefined && near.pool.sessions === 0);
  assert.equal(reader.error?.message, "The pod is gone");
  assert.equal(reader.ended, false);
  await eventually(() => far.closed === far.sessions.length);
});

test("A session without tunnels is released after its time, one with tunnels is not", async (t) => {
  const { far, near } = rig(t, { idleReleaseMs: 100, tunnelsPerSession: 1 });
  const kept = new Reader(await near.tunnel("10.0.0.1:80"));
  const tunnel = await near.tunnel("10.0.0.1:80");
  const reader = new Reader(tunnel);
  tunnel.end();
  await eventually(() => reader.ended && far.closed === 1);
  await new Promise((resolve) => setTimeout(resolve, 250));
  assert.equal(near.pool.sessions, 1);
  assert.equal(kept.error, undefined);
  assert.deepEqual(far.failures, []);
});

test("GOAWAY of the peer: open tunnels run on, new ones get a new session, and the old one ends with its last tunnel", async (t) => {
  const { far, near } = rig(t);
  const tunnel = await near.tunnel("10.0.0.1:80");
  const reader = new Reader(tunnel);
  far.sessions[0]?.drain();
  await eventually(async () => {
    await near.tunnel("10.0.0.1:80");
    return far.sessions.length === 2;
  });
  tunnel.write(Buffer.from("x"));
  assert.equal(reader.error, undefined);
  const other = far.tunnels.length;
  assert.ok(other >= 2);
  tunnel.end();
  await eventually(() => reader.ended);
  assert.equal(reader.error, undefined);
  assert.deepEqual(far.failures, []);
});

test("No tunnel is lost when the peer drains while many are opened", async (t) => {
  const { far, near } = rig(t, {}, { onTunnel: (tunnel) => tunnel.refuse(401) });
  await near.open("10.0.0.1:80");
  for (let round = 0; round < 20; round++) {
    const pending = Array.from({ length: 30 }, () => near.open("10.0.0.1:80"));
    for (const session of far.sessions) session.drain();
    for (const result of await Promise.all(pending)) {
      assert.equal(result.kind, "refused", result.kind === "failed" ? result.error.message : "");
    }
  }
  await eventually(() => far.closed >= far.sessions.length - 1);
  assert.deepEqual(far.failures, []);
  assert.ok(near.pool.sessions <= 1);
});

test("No session gets more than 100 tunnels, however many the pool may place on it", async (t) => {
  const { near } = rig(t, { tunnelsPerSession: 1000 });
  // The server advertises 200 streams; the client never opens more than 100 on one session.
  const results = await Promise.all(Array.from({ length: 150 }, () => near.open("10.0.0.1:80")));
  assert.equal(opened(results), 150);
  assert.equal(near.pool.sessions, 2);
});

test("openTunnel() refuses expired credentials before it dials", async (t) => {
  const { engine, far, near } = rig(t);
  const credentials = engine.credentials(authority.issue({ uris: [CLIENT], notAfterMs: Date.now() - 60_000 }));
  const result = await near.open("10.0.0.1:80", { credentials });
  assert.equal(result.kind === "failed" && result.error.code, "HBONE_CREDENTIALS_EXPIRED");
  assert.equal(far.sessions.length, 0);
});

test("A session whose certificate has expired takes no new tunnel; those that are open run on", async (t) => {
  const { engine, far, near } = rig(t);
  const notAfterMs = Math.ceil(Date.now() / 1000) * 1000 + 1_000;
  const shortLived = engine.credentials(authority.issue({ uris: [SERVER], notAfterMs }));
  const brief = new FarProxy(engine, { credentials: shortLived, onTunnel: hold });
  const tunnel = await near.tunnel("10.0.0.1:80", { remote: brief.address });
  const reader = new Reader(tunnel);
  await eventually(() => engine.nowMs() >= notAfterMs && Date.now() >= notAfterMs);
  const result = await near.open("10.0.0.1:80", { remote: brief.address });
  assert.equal(result.kind === "failed" && result.error.code, "HBONE_PEER_UNVERIFIED");
  assert.equal(brief.sessions.length, 2);
  tunnel.end();
  await eventually(() => reader.ended);
  assert.equal(far.sessions.length, 0);
});

test("cancel() in every phase leaves nothing behind and calls nobody", async (t) => {
  const { far, near } = rig(t, {}, { onTunnel: (tunnel) => tunnel.onCancelled(() => undefined) });
  const never = (): void => assert.fail("done after cancel");
  for (let delay = 0; delay < 40; delay++) {
    const request = near.pool.openTunnel(near.options("10.0.0.1:80", { sourceIp: `127.0.1.${delay}` as typeof LOOPBACK }), never);
    for (let turn = 0; turn < delay; turn++) await new Promise((resolve) => setImmediate(resolve));
    request.cancel();
    request.cancel();
  }
  near.pool.drain();
  await eventually(() => near.pool.sessions === 0 && far.closed === far.sessions.length);
  assert.deepEqual(
    far.failures.filter((error) => error.code !== "HBONE_TLS_FAILED"),
    [],
  );
});

test("A slow reader of one tunnel does not hold up its neighbours on the same session", async (t) => {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const near = new NearProxy(engine, far);
  const echo = await tcpEcho(t);
  const source = await tcpServer(t, {}, (socket) => {
    const block = Buffer.alloc(1 << 20);
    const write = (): void => {
      while (!socket.destroyed && socket.write(block)) {
        // Until the kernel takes no more.
      }
    };
    socket.on("drain", write);
    write();
  });
  const stalled = net.connect({ port: near.front(source), host: "127.0.0.1" });
  stalled.pause();
  t.after(() => stalled.destroy());
  let last = -1;
  await eventually(async () => {
    const now = near.relays[0]?.bytesToDownstream ?? 0;
    const still = now > 0 && now === last;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 100));
    return still;
  });
  const tunnel = await near.tunnel(`127.0.0.1:${echo}`);
  const reader = new Reader(tunnel);
  for (let i = 0; i < 30; i++) tunnel.write(Buffer.alloc(1 << 20, "z"));
  tunnel.end();
  await eventually(() => reader.ended, { timeoutMs: 20_000 });
  assert.equal(reader.text.length, 30 << 20);
  assert.equal(far.sessions.length, 1);
  assert.ok(last < 64 << 20, `${last} bytes were taken for a reader that does not read`);
});
