import assert from "node:assert/strict";
import net from "node:net";
import { type TestContext, test } from "node:test";
import tls from "node:tls";
import type { MeshError } from "@ambit/core";
import { createTestAuthority, eventually } from "@ambit/testkit";
import type { ByteStream, Credentials, CredentialsPem, Listener } from "./contract.ts";
import type { EngineLoop } from "./engine.ts";
import { dial, startEngine } from "./loop.testing.ts";
import type { PeerCertificate, SecureChannel } from "./secure-channel.ts";
import { openSecureChannel } from "./tls.ts";

const CLIENT = "spiffe://cluster.local/ns/a/sa/client";
const SERVER = "spiffe://cluster.local/ns/b/sa/server";
const authority = createTestAuthority();

/** One end with everything that happened to it. */
class End {
  readonly received: Buffer[] = [];
  peer: PeerCertificate | undefined;
  chainLength = 0;
  closed = false;
  error: MeshError | undefined;
  onOpen: (channel: SecureChannel) => void = () => undefined;
  onData: (channel: SecureChannel, bytes: Buffer) => void = (_, bytes) => this.received.push(bytes);
  onWritable: () => void = () => undefined;
  readonly channel: SecureChannel;

  constructor(engine: EngineLoop, stream: ByteStream, role: "client" | "server", credentials: Credentials) {
    this.channel = openSecureChannel(
      engine,
      stream,
      { role, credentials },
      {
        onOpen: (peer) => {
          this.peer = peer;
          this.chainLength = peer.chain().length;
          this.onOpen(this.channel);
        },
        onData: (slab, offset, length) => this.onData(this.channel, Buffer.from(slab.bytes.slice(offset, offset + length))),
        onWritable: () => this.onWritable(),
        onClosed: (error) => {
          assert.equal(this.closed, false, "onClosed came twice");
          this.closed = true;
          this.error = error;
        },
      },
    );
  }

  get text(): string {
    return Buffer.concat(this.received).toString();
  }
}

interface Pair {
  readonly engine: EngineLoop;
  readonly listener: Listener;
  readonly client: End;
  server(): Promise<End>;
}

async function connect(t: TestContext, options: { client?: CredentialsPem; server?: CredentialsPem } = {}): Promise<Pair> {
  const engine = startEngine(t);
  const serverCredentials = engine.credentials(options.server ?? authority.issue({ uris: [SERVER] }));
  const clientCredentials = engine.credentials(options.client ?? authority.issue({ uris: [CLIENT] }));
  const ends: End[] = [];
  const listener = engine.listenTcp({ netns: undefined, address: "any", port: 0 }, (connection) => {
    ends.push(new End(engine, connection, "server", serverCredentials));
  });
  const client = new End(engine, await dial(engine, listener.local.port), "client", clientCredentials);
  return { engine, listener, client, server: () => eventually(() => ends[0] ?? false) };
}

test("openSecureChannel() gives both ends the other's SPIFFE ID and verified chain, and carries bytes both ways", async (t) => {
  const { client, server } = await connect(t);
  client.onOpen = (channel) => channel.writeBytes(Buffer.from("ping"));
  const other = await server();
  other.onData = (channel, bytes) => channel.writeBytes(Buffer.from(`${bytes}pong`));
  await eventually(() => client.text === "pingpong");
  assert.deepEqual(client.peer?.uris, [SERVER]);
  assert.deepEqual(other.peer?.uris, [CLIENT]);
  assert.equal(other.chainLength, 2);
  assert.match(other.peer?.serial ?? "", /^[0-9a-f]{32}$/);
  assert.ok((other.peer?.notAfterMs ?? 0) > Date.now());
});

test("SecureChannel.close() ends cleanly on both sides after everything written has arrived", async (t) => {
  const { client, server } = await connect(t);
  const payload = Buffer.alloc(200_000, "x");
  client.onOpen = (channel) => {
    channel.writeBytes(payload);
    channel.close();
  };
  const other = await server();
  await eventually(() => other.closed && client.closed);
  assert.equal(other.error, undefined);
  assert.equal(client.error, undefined);
  assert.equal(other.text.length, payload.length);
});

test("SecureChannel.reset() is an error for the peer, never a clean end", async (t) => {
  const { client, server } = await connect(t);
  const other = await server();
  await eventually(() => other.peer !== undefined && client.peer !== undefined);
  client.channel.reset();
  await eventually(() => other.closed && client.closed);
  assert.match(other.error?.code ?? "", /ENGINE_RESET|ENGINE_TLS_TRUNCATED/);
});

test("A certificate of another root is refused, and the reason is told", async (t) => {
  const stranger = createTestAuthority("stranger");
  const { client, server } = await connect(t, { client: { ...stranger.issue({ uris: [CLIENT] }), roots: authority.rootPem } });
  const other = await server();
  await eventually(() => other.closed && client.closed);
  assert.equal(other.error?.code, "ENGINE_TLS_PEER_UNVERIFIED");
  assert.match(other.error?.message ?? "", /unable to get local issuer certificate/);
  assert.equal(other.peer, undefined);
  assert.equal(client.error?.code, "ENGINE_TLS_FAILED");
});

test("An expired certificate is refused", async (t) => {
  const expired = authority.issue({ uris: [SERVER], notAfterMs: Date.now() - 60_000 });
  const { client, server } = await connect(t, { server: expired });
  const other = await server();
  await eventually(() => other.closed && client.closed);
  assert.equal(client.error?.code, "ENGINE_TLS_PEER_UNVERIFIED");
  assert.match(client.error?.message ?? "", /certificate has expired/);
});

test("A certificate for the other role is refused", async (t) => {
  const { client } = await connect(t, { server: authority.issue({ uris: [SERVER], usages: ["clientAuth"] }) });
  await eventually(() => client.closed);
  assert.equal(client.error?.code, "ENGINE_TLS_PEER_UNVERIFIED");
});

test("Credentials.close() leaves open connections alone and refuses new ones", async (t) => {
  const engine = startEngine(t);
  const credentials = engine.credentials(authority.issue({ uris: [SERVER] }));
  credentials.close();
  const listener = engine.listenTcp({ netns: undefined, address: "any", port: 0 }, () => undefined);
  const connection = await dial(engine, listener.local.port);
  assert.throws(() => openSecureChannel(engine, connection, { role: "client", credentials }, neverCalled), {
    code: "ENGINE_CREDENTIALS_INVALID",
  });
});

test("Engine.credentials() says which part of the PEM texts cannot be used", (t) => {
  const engine = startEngine(t);
  const good = authority.issue({ uris: [SERVER] });
  const other = authority.issue({ uris: [CLIENT] });
  const refused = (pem: CredentialsPem, pattern: RegExp) =>
    assert.throws(
      () => engine.credentials(pem),
      (error: MeshError) => {
        assert.equal(error.code, "ENGINE_CREDENTIALS_INVALID");
        assert.match(error.message, pattern);
        return true;
      },
    );
  refused({ ...good, privateKey: other.privateKey }, /private key/);
  refused({ ...good, privateKey: "nonsense" }, /private key/);
  refused({ ...good, certChain: "nonsense" }, /chain/);
  refused({ ...good, certChain: good.certChain.replace("MII", "MI!") }, /chain is broken/);
  refused({ ...good, roots: "" }, /root|PEM/);
  refused(authority.issue({ dnsNames: ["example.org"] }), /SPIFFE/);
  const credentials = engine.credentials({ ...good, certChain: good.certChain + good.roots });
  assert.equal(credentials.identity, SERVER);
  assert.ok(Math.abs(credentials.notAfterMs - Date.now() - 24 * 3_600_000) < 60_000);
});

function nodeClient(port: number, options: tls.ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const { certChain, privateKey } = authority.issue({ uris: [CLIENT] });
    const socket = tls.connect({
      port,
      host: "127.0.0.1",
      cert: certChain,
      key: privateKey,
      ca: authority.rootPem,
      checkServerIdentity: () => undefined,
      ALPNProtocols: ["h2"],
      ...options,
    });
    socket.on("data", (data) => socket.end(() => resolve(`data ${data}`)));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(`error ${error.code}`));
    socket.on("close", () => resolve("closed"));
  });
}

test("A server channel refuses clients without certificate, without h2, or below TLS 1.3, and takes the others", async (t) => {
  const engine = startEngine(t);
  const credentials = engine.credentials(authority.issue({ uris: [SERVER] }));
  const ends: End[] = [];
  const { local } = engine.listenTcp({ netns: undefined, address: "any", port: 0 }, (connection) => {
    const end = new End(engine, connection, "server", credentials);
    end.onOpen = (channel) => channel.writeBytes(Buffer.from("hi"));
    ends.push(end);
  });
  assert.equal(await nodeClient(local.port, {}), "data hi");
  assert.match(await nodeClient(local.port, { cert: undefined, key: undefined }), /^error/);
  assert.match(await nodeClient(local.port, { ALPNProtocols: ["http/1.1"] }), /^error/);
  assert.match(await nodeClient(local.port, { ALPNProtocols: undefined }), /^error|closed/);
  assert.match(await nodeClient(local.port, { maxVersion: "TLSv1.2" }), /^error/);
  await eventually(() => ends.length === 5 && ends.every((end) => end.closed));
  assert.deepEqual(
    ends.map((end) => end.error?.code),
    [undefined, "ENGINE_TLS_PEER_UNVERIFIED", "ENGINE_TLS_FAILED", "ENGINE_TLS_FAILED", "ENGINE_TLS_FAILED"],
  );
});

test("A TLS stream that ends without close_notify is truncated, in the middle of a stream and during the handshake", async (t) => {
  const engine = startEngine(t);
  const credentials = engine.credentials(authority.issue({ uris: [SERVER] }));
  const ends: End[] = [];
  const { local } = engine.listenTcp({ netns: undefined, address: "any", port: 0 }, (connection) => {
    ends.push(new End(engine, connection, "server", credentials));
  });
  const { certChain, privateKey } = authority.issue({ uris: [CLIENT] });
  const raw = net.connect(local.port, "127.0.0.1");
  const socket = tls.connect({
    socket: raw,
    cert: certChain,
    key: privateKey,
    ca: authority.rootPem,
    checkServerIdentity: () => undefined,
    ALPNProtocols: ["h2"],
  });
  await new Promise((resolve) => socket.once("secureConnect", resolve));
  await new Promise((resolve) => socket.write("half", resolve));
  await eventually(() => ends[0]?.text === "half");
  raw.destroySoon();
  await eventually(() => ends[0]?.closed ?? false);
  assert.equal(ends[0]?.error?.code, "ENGINE_TLS_TRUNCATED");
  net.connect(local.port, "127.0.0.1").end();
  await eventually(() => ends[1]?.closed ?? false);
  assert.equal(ends[1]?.error?.code, "ENGINE_TLS_FAILED");
});

test("SecureChannel.capacity() is 0 while the peer does not read, onWritable comes when it does, and nothing is lost", async (t) => {
  const { client, server } = await connect(t);
  const total = 48 * 1024 * 1024;
  const other = await server();
  let received = 0;
  let sum = 0;
  other.onData = (_, bytes) => {
    received += bytes.length;
    for (let i = 0; i < bytes.length; i += 4099) sum = (sum + (bytes[i] ?? 0)) | 0;
  };
  await eventually(() => client.peer !== undefined && other.peer !== undefined);
  other.channel.pause();
  const chunk = Buffer.alloc(60_000, 7);
  let sent = 0;
  let stalls = 0;
  const fill = () => {
    while (sent < total) {
      if (client.channel.capacity() <= 0) {
        stalls++;
        return;
      }
      client.channel.writeBytes(chunk);
      sent += chunk.length;
    }
  };
  client.onWritable = fill;
  fill();
  await eventually(() => stalls > 0);
  assert.ok(sent < total, "the peer did not read and yet all was taken");
  const stalledAt = sent;
  other.channel.resume();
  await eventually(() => received >= total, { timeoutMs: 30_000 });
  assert.ok(stalledAt < sent);
  assert.equal(received, sent);
  assert.ok(sum > 0);
});

test("openSecureChannel() works inside another stream", async (t) => {
  const engine = startEngine(t);
  const serverCredentials = engine.credentials(authority.issue({ uris: [SERVER] }));
  const clientCredentials = engine.credentials(authority.issue({ uris: [CLIENT] }));
  const ends: End[] = [];
  const { local } = engine.listenTcp({ netns: undefined, address: "any", port: 0 }, (connection) => {
    ends.push(new End(engine, withoutDescriptor(connection), "server", serverCredentials));
  });
  const client = new End(engine, withoutDescriptor(await dial(engine, local.port)), "client", clientCredentials);
  const payload = Buffer.alloc(1_500_000, "y");
  client.onOpen = (channel) => {
    let at = 0;
    const fill = () => {
      while (at < payload.length && channel.capacity() > 0) {
        channel.writeBytes(payload.subarray(at, at + 100_000));
        at += 100_000;
      }
      if (at >= payload.length) channel.close();
    };
    client.onWritable = fill;
    fill();
  };
  await eventually(() => (ends[0]?.closed ?? false) && client.closed);
  assert.equal(ends[0]?.error, undefined);
  assert.equal(ends[0]?.text.length, payload.length);
  assert.deepEqual(ends[0]?.peer?.uris, [CLIENT]);
});

/** The stream with nothing but the boundary contract's methods, as a tunnel has them. */
function withoutDescriptor(stream: ByteStream): ByteStream {
  return {
    handle: (handler) => stream.handle(handler),
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    write: (bytes) => stream.write(bytes),
    end: () => stream.end(),
    reset: () => stream.reset(),
  };
}

const neverCalled = {
  onOpen: () => assert.fail("onOpen"),
  onData: () => assert.fail("onData"),
  onWritable: () => assert.fail("onWritable"),
  onClosed: () => assert.fail("onClosed"),
};
