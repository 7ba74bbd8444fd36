import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { type EngineLoop, relay } from "@ambit/engine";
import type { IncomingTunnel, OpenTunnelResult, Tunnel } from "./contract.ts";
import { openInner } from "./inner-tunnel.ts";
import {
  authority,
  CLIENT,
  eventually,
  FarProxy,
  NearProxy,
  Reader,
  SERVER,
  spiffe,
  startLoop,
  tcpClient,
  tcpEcho,
} from "./rig.testing.ts";
import { acceptHboneOver } from "./server.ts";

const GATEWAY = spiffe("spiffe://cluster.local/ns/istio-gateways/sa/eastwest");

interface Networks {
  readonly engine: EngineLoop;
  /** The proxy of the remote workload. */
  readonly far: FarProxy;
  readonly gateway: FarProxy;
  readonly near: NearProxy;
  inner(authority: string, expected?: typeof SERVER): Promise<OpenTunnelResult>;
}

/** near -> gateway, which forwards bytes to far: as between two networks. */
function networks(
  t: TestContext,
  options: { readonly onOuter?: (networks: () => Networks) => (tunnel: IncomingTunnel) => void } = {},
): Networks {
  const engine = startLoop(t);
  const far = new FarProxy(engine);
  const onOuter = options.onOuter?.(() => all);
  const gateway: FarProxy = new FarProxy(engine, {
    credentials: engine.credentials(authority.issue({ uris: [GATEWAY] })),
    ...(onOuter === undefined ? {} : { onTunnel: onOuter }),
  });
  const near = new NearProxy(engine, gateway);
  const all: Networks = {
    engine,
    far,
    gateway,
    near,
    inner: async (authority, expected = SERVER) => {
      const outer = await near.tunnel(`127.0.0.1:${far.address.port}`, { expectedIdentities: [GATEWAY] });
      return new Promise((resolve) => {
        const expectedIdentities = [expected];
        const { credentials } = near;
        openInner(engine, { outer, credentials, expectedIdentities, handshakeTimeoutMs: 500, authority, headers: [] }, resolve);
      });
    },
  };
  return all;
}

function open(result: OpenTunnelResult): Tunnel {
  assert.ok(result.kind === "open", result.kind === "failed" ? result.error.message : "refused");
  return result.tunnel;
}

/** Ends the inner session on the gateway itself: TLS inside the tunnel on both sides, on one thread. */
function terminate(networks: () => Networks): (tunnel: IncomingTunnel) => void {
  return (incoming) => {
    const { engine, far } = networks();
    acceptHboneOver(engine, incoming.accept([]), incoming, {
      credentials: engine.credentials(authority.issue({ uris: [SERVER] })),
      handshakeTimeoutMs: 500,
      onTunnel: (tunnel) => far.connect(tunnel),
      onFailed: (error) => far.failures.push(error),
      onClosed: () => far.closed++,
    });
  };
}

for (const [where, onOuter] of [
  ["behind the gateway", undefined],
  ["on the gateway", terminate],
] as const) {
  const options = onOuter === undefined ? {} : { onOuter };

  test(`openInner() to a proxy ${where} carries 16 MiB each way through relays, and both ends`, async (t) => {
    const { engine, far, inner, near } = networks(t, options);
    const port = await tcpEcho(t);
    const tunnel = open(await inner(`127.0.0.1:${port}`));
    const ends: string[] = [];
    const front = engine.listenTcp({ netns: undefined, address: "any", port: 0 }, (connection) => {
      relay(connection, tunnel, (end) => ends.push(end.kind));
    });
    const socket = tcpClient(t, front.local.port);
    const sent = createHash("sha256");
    const received = createHash("sha256");
    let bytes = 0;
    socket.on("data", (data) => {
      received.update(data);
      bytes += data.length;
    });
    const ended = new Promise((resolve) => socket.once("end", resolve));
    for (let i = 0; i < 16; i++) {
      const block = randomBytes(1 << 20);
      sent.update(block);
      if (!socket.write(block)) await new Promise((resolve) => socket.once("drain", resolve));
    }
    socket.end();
    await ended;
    assert.equal(bytes, 16 << 20);
    assert.equal(received.digest("hex"), sent.digest("hex"));
    await eventually(() => ends.length === 1 && far.ends.length === 1);
    assert.deepEqual(ends, ["finished"]);
    assert.equal(far.ends[0]?.kind, "finished");
    // The inner session ends with its tunnel, and the outer stream with the session.
    await eventually(() => far.closed === 1);
    assert.deepEqual(far.failures, []);
    assert.equal(near.pool.sessions, 1);
  });

  test(`A tunnel to a proxy ${where} keeps large writes of one turn apart`, async (t) => {
    const { inner } = networks(t, options);
    const tunnel = open(await inner(`127.0.0.1:${await tcpEcho(t)}`));
    const reader = new Reader(tunnel);
    const sent = createHash("sha256");
    // More than the channels flush at once, so that the outer one writes while the inner one does.
    for (let i = 0; i < 40; i++) {
      const block = randomBytes(250_000);
      sent.update(block);
      tunnel.write(block);
    }
    tunnel.end();
    await eventually(() => reader.ended, { timeoutMs: 20_000 });
    const hash = createHash("sha256");
    for (const chunk of reader.chunks) hash.update(chunk);
    assert.equal(hash.digest("hex"), sent.digest("hex"));
  });

  test(`A reset on either side of a tunnel to a proxy ${where} is a cut on the other`, async (t) => {
    const { far, inner } = networks(t, options);
    const port = await tcpEcho(t);
    const first = open(await inner(`127.0.0.1:${port}`));
    const reader = new Reader(first);
    first.write(Buffer.from("x"));
    await eventually(() => reader.text === "x");
    first.reset();
    await eventually(() => far.ends.length === 1);
    assert.equal(far.ends[0]?.kind, "failed");
    const second = open(await inner(`127.0.0.1:${port}`));
    const log = new Reader(second);
    far.relays.at(-1)?.abort(new Error("policy") as never);
    await eventually(() => log.error !== undefined);
    assert.equal(log.ended, false);
  });
}

test("openInner() is refused with the inner proxy's status", async (t) => {
  const { inner, far } = networks(t);
  const result = await inner("127.0.0.1:1");
  assert.equal(result.kind === "refused" && result.status, 503);
  assert.equal(far.tunnels[0]?.peerIdentity, CLIENT);
});

test("openInner() fails when the inner peer is not the expected one: the gateway cannot read what is not for it", async (t) => {
  const { inner, far } = networks(t);
  const result = await inner("127.0.0.1:80", GATEWAY);
  assert.equal(result.kind === "failed" && result.error.code, "HBONE_PEER_UNVERIFIED");
  assert.equal(far.tunnels.length, 0);
});

test("openInner() fails in time when nobody behind the gateway answers, or the gateway cuts", async (t) => {
  const silent = networks(t, { onOuter: () => (tunnel) => void new Reader(tunnel.accept([])) });
  const timedOut = await silent.inner("127.0.0.1:80");
  assert.equal(timedOut.kind === "failed" && timedOut.error.code, "HBONE_HANDSHAKE_TIMED_OUT");
  const cut = networks(t, { onOuter: () => (tunnel) => tunnel.accept([]).reset() });
  const lost = await cut.inner("127.0.0.1:80");
  assert.equal(lost.kind, "failed");
  const ended = networks(t, { onOuter: () => (tunnel) => tunnel.accept([]).end() });
  const result = await ended.inner("127.0.0.1:80");
  assert.equal(result.kind, "failed");
});

test("cancel() of an inner tunnel cuts the outer one and calls nobody", async (t) => {
  const { engine, far, gateway, near } = networks(t);
  const outer = await near.tunnel(`127.0.0.1:${far.address.port}`, { expectedIdentities: [GATEWAY] });
  const inner = openInner(
    engine,
    {
      outer,
      credentials: near.credentials,
      expectedIdentities: [SERVER],
      handshakeTimeoutMs: 500,
      authority: "127.0.0.1:80",
      headers: [],
    },
    () => assert.fail("done after cancel"),
  );
  inner.cancel();
  await eventually(() => gateway.ends.length === 1);
  assert.equal(gateway.ends[0]?.kind, "failed");
});
