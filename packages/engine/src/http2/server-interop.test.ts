// Our server against node:http2, which is nghttp2: an independent reading of the same RFCs, over real TLS connections.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import http2 from "node:http2";
import { type TestContext, test } from "node:test";
import type { MeshError } from "@ambit/core";
import { createTestAuthority, eventually } from "@ambit/testkit";
import type { EngineLoop } from "../engine.ts";
import { startEngine } from "../loop.testing.ts";
import { openSecureChannel } from "../tls.ts";
import type { HeaderList } from "./hpack.ts";
import { Http2ServerSession } from "./server-session.ts";
import type { Http2Stream } from "./stream.ts";

const authority = createTestAuthority();
const CLIENT = "spiffe://cluster.local/ns/a/sa/client";
const SERVER = "spiffe://cluster.local/ns/b/sa/server";

function nodeTls(uri: string): { cert: string; key: string; ca: string } {
  const { certChain, privateKey, roots } = authority.issue({ uris: [uri] });
  return { cert: certChain, key: privateKey, ca: roots };
}

interface OurServer {
  readonly port: number;
  readonly engine: EngineLoop;
  readonly sessions: Http2ServerSession[];
  readonly errors: (MeshError | undefined)[];
}

function ourServer(t: TestContext, onRequest: (stream: Http2Stream, headers: HeaderList) => void): OurServer {
  const engine = startEngine(t);
  const credentials = engine.credentials(authority.issue({ uris: [SERVER] }));
  const sessions: Http2ServerSession[] = [];
  const errors: (MeshError | undefined)[] = [];
  const { local } = engine.listenTcp({ netns: undefined, address: "any", port: 0 }, (connection) => {
    sessions.push(
      new Http2ServerSession(
        engine,
        (handler) => openSecureChannel(engine, connection, { role: "server", credentials }, handler),
        { onOpen: () => undefined, onRequest, onClosed: (error) => errors.push(error) },
      ),
    );
  });
  return { port: local.port, engine, sessions, errors };
}

async function nodeClient(t: TestContext, port: number, settings: http2.Settings = {}): Promise<http2.ClientHttp2Session> {
  const session = http2.connect("https://127.0.0.1", {
    ...nodeTls(CLIENT),
    port,
    checkServerIdentity: () => undefined,
    settings,
  });
  session.on("error", () => undefined);
  t.after(() => session.destroy());
  await new Promise((resolve) => session.once("remoteSettings", resolve));
  return session;
}

function connect(session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders = {}): http2.ClientHttp2Stream {
  const stream = session.request({ ":method": "CONNECT", ":authority": "10.0.0.1:80", ...headers });
  stream.on("error", () => undefined);
  return stream;
}

function echo(stream: Http2Stream): void {
  stream.respond([[":status", "200"]], false);
  stream.handle({
    onData: (chunk) => {
      if (!stream.write(chunk)) stream.pause();
    },
    onEnd: () => stream.end(),
    onError: () => undefined,
    onDrain: () => stream.resume(),
  });
}

test("Node's client to our server: 20 MiB each way with small windows of the client", async (t) => {
  const server = ourServer(t, echo);
  const session = await nodeClient(t, server.port, { initialWindowSize: 50_000 });
  assert.equal(session.remoteSettings.maxConcurrentStreams, 200);
  assert.equal(session.remoteSettings.initialWindowSize, 4 << 20);
  const stream = connect(session);
  const received = createHash("sha256");
  let length = 0;
  stream.on("data", (data: Buffer) => {
    received.update(data);
    length += data.length;
  });
  const sent = createHash("sha256");
  for (let i = 0; i < 20; i++) {
    const block = randomBytes(1 << 20);
    sent.update(block);
    if (!stream.write(block)) await new Promise((resolve) => stream.once("drain", resolve));
  }
  stream.end();
  await new Promise((resolve) => stream.once("end", resolve));
  assert.equal(length, 20 << 20);
  assert.equal(received.digest("hex"), sent.digest("hex"));
  await eventually(() => server.sessions[0]?.openStreams === 0);
});

test("Node's client to our server: refusal, reset, cancel, drain", async (t) => {
  const streams: Http2Stream[] = [];
  const cuts: (MeshError | undefined)[] = [];
  const server = ourServer(t, (stream, headers) => {
    streams.push(stream);
    stream.listener = { onHeaders: () => undefined, onCut: (error) => cuts.push(error) };
    const what = headers.find(([name]) => name === "x-what")?.[1];
    if (what === "refuse") stream.respond([[":status", "401"]], true);
    else if (what === "reset") {
      stream.respond([[":status", "200"]], false);
      server.engine.after(10, () => stream.reset());
    } else if (what === "echo") echo(stream);
  });
  const session = await nodeClient(t, server.port);
  const refused = connect(session, { "x-what": "refuse" });
  const status = await new Promise((resolve) => refused.once("response", (headers) => resolve(headers[":status"])));
  assert.equal(status, 401);
  await new Promise((resolve) => refused.once("close", resolve));
  assert.equal(refused.rstCode, http2.constants.NGHTTP2_NO_ERROR);

  const reset = connect(session, { "x-what": "reset" });
  await new Promise((resolve) => reset.once("close", resolve));
  assert.equal(reset.rstCode, http2.constants.NGHTTP2_CONNECT_ERROR);

  const cancelled = connect(session, { "x-what": "wait" });
  await eventually(() => streams.length === 3);
  cancelled.close(http2.constants.NGHTTP2_CANCEL);
  await eventually(() => cuts.length === 1);
  assert.equal(cuts[0]?.details["http2Code"], http2.constants.NGHTTP2_CANCEL);

  const running = connect(session, { "x-what": "echo" });
  await new Promise((resolve) => running.once("response", resolve));
  const goAway = new Promise((resolve) => session.once("goaway", resolve));
  server.sessions[0]?.drain();
  await goAway;
  let text = "";
  running.on("data", (data) => {
    text += data;
  });
  running.end("after goaway");
  await new Promise((resolve) => running.once("end", resolve));
  assert.equal(text, "after goaway");
  await eventually(() => server.errors.length === 1);
  assert.deepEqual(server.errors, [undefined]);
});

test("Node's client to our server: 150 streams at once", async (t) => {
  const server = ourServer(t, echo);
  const session = await nodeClient(t, server.port);
  const answers = await Promise.all(
    Array.from({ length: 150 }, async (_, i) => {
      const stream = connect(session, { "x-number": String(i) });
      let text = "";
      stream.on("data", (data) => {
        text += data;
      });
      stream.end(`number ${i}`);
      await new Promise((resolve) => stream.once("end", resolve));
      return text;
    }),
  );
  assert.deepEqual(
    answers,
    Array.from({ length: 150 }, (_, i) => `number ${i}`),
  );
  assert.equal(server.sessions.length, 1);
});
