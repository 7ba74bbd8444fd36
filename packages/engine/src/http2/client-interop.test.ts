// Our client against node:http2, which is nghttp2: an independent reading of the same RFCs, over real TLS connections.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import type { MeshError } from "@ambit/core";
import { createTestAuthority, eventually } from "@ambit/testkit";
import { dial, startEngine } from "../loop.testing.ts";
import { openSecureChannel } from "../tls.ts";
import { Http2ClientSession } from "./client-session.ts";
import type { HeaderList } from "./hpack.ts";
import type { Http2Stream } from "./stream.ts";

const authority = createTestAuthority();
const CLIENT = "spiffe://cluster.local/ns/a/sa/client";
const SERVER = "spiffe://cluster.local/ns/b/sa/server";

function nodeTls(uri: string): { cert: string; key: string; ca: string } {
  const { certChain, privateKey, roots } = authority.issue({ uris: [uri] });
  return { cert: certChain, key: privateKey, ca: roots };
}

async function nodeServer(
  t: TestContext,
  settings: http2.Settings,
  onStream: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
): Promise<{ port: number; sessions: http2.ServerHttp2Session[] }> {
  const server = http2.createSecureServer({ ...nodeTls(SERVER), requestCert: true, minVersion: "TLSv1.3", settings });
  const sessions: http2.ServerHttp2Session[] = [];
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => undefined);
  });
  server.on("stream", (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    stream.on("error", () => undefined);
    onStream(stream, headers);
  });
  server.on("error", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sessions };
}

interface OurClient {
  readonly session: Http2ClientSession;
  closed: boolean;
  error: MeshError | undefined;
}

async function ourClient(t: TestContext, port: number): Promise<OurClient> {
  const engine = startEngine(t);
  const connection = await dial(engine, port);
  const credentials = engine.credentials(authority.issue({ uris: [CLIENT] }));
  return new Promise((resolve, reject) => {
    const session = new Http2ClientSession(
      engine,
      (handler) => openSecureChannel(engine, connection, { role: "client", credentials }, handler),
      {
        onOpen: () => undefined,
        onReady: () => resolve(client),
        onClosed: (error) => {
          client.closed = true;
          client.error = error;
          reject(error ?? new Error("closed"));
        },
      },
    );
    const client: OurClient = { session, closed: false, error: undefined };
  });
}

/** A stream of ours with all that came of it. */
class Seen {
  headers: HeaderList | undefined;
  trailers: HeaderList | undefined;
  cut: MeshError | undefined;
  readonly chunks: Buffer[] = [];
  ended = false;
  drain: () => void = () => undefined;

  read(stream: Http2Stream): void {
    stream.handle({
      onData: (chunk) => this.chunks.push(Buffer.from(chunk)),
      onEnd: () => {
        this.ended = true;
      },
      onError: (error) => {
        this.cut = error;
      },
      onDrain: () => this.drain(),
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

function request(client: OurClient, headers: HeaderList = [], endStream = false): { seen: Seen; stream: Http2Stream } {
  const seen = new Seen();
  const list: HeaderList = [[":method", "CONNECT"], [":authority", "10.0.0.1:80"], ...headers];
  const stream = client.session.request(list, endStream, {
    onHeaders: (answer) => {
      seen.headers = answer;
    },
    onTrailers: (trailers) => {
      seen.trailers = trailers;
    },
    onCut: (error) => {
      seen.cut = error;
    },
  });
  seen.read(stream);
  return { seen, stream };
}

/** Writes `total` bytes as the stream takes them, then ends it; gives their hash. */
function pour(stream: Http2Stream, seen: Seen, total: number): Promise<string> {
  const block = randomBytes(200_000);
  const hash = createHash("sha256");
  return new Promise((resolve) => {
    let written = 0;
    seen.drain = () => {
      while (written < total) {
        const piece = block.subarray(0, Math.min(block.length, total - written));
        written += piece.length;
        hash.update(piece);
        if (!stream.write(piece)) break;
      }
      if (written < total) return;
      seen.drain = () => undefined;
      stream.end();
      resolve(hash.digest("hex"));
    };
    seen.drain();
  });
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

test("Our client's CONNECT to node's server carries 20 MiB each way, headers, and both ends", async (t) => {
  const { port } = await nodeServer(t, { initialWindowSize: 100_000 }, (stream, headers) => {
    stream.respond({ ":status": 200, "x-authority": headers[":authority"] ?? "", "x-echo": headers["x-long"] ?? "" });
    stream.pipe(stream);
  });
  const client = await ourClient(t, port);
  const { seen, stream } = request(client, [["x-long", "abc, ".repeat(500).concat("end")]]);
  const sent = await pour(stream, seen, 20 << 20);
  await eventually(() => seen.ended, { timeoutMs: 30_000 });
  assert.equal(sha256(seen.bytes), sent);
  const headers = Object.fromEntries(seen.headers ?? []);
  assert.equal(headers[":status"], "200");
  assert.equal(headers["x-authority"], "10.0.0.1:80");
  assert.equal(headers["x-echo"], "abc, ".repeat(500).concat("end"));
  await eventually(() => client.session.openStreams === 0);
  assert.equal(seen.cut, undefined);
});

test("Our client with node's server: many streams at once, statuses, trailers, resets", async (t) => {
  const codes: number[] = [];
  const { port } = await nodeServer(t, {}, (stream, headers) => {
    const what = String(headers["x-what"]);
    if (what === "reset") stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    else if (what === "refuse") stream.respond({ ":status": 503 }, { endStream: true });
    else if (what === "trailers") {
      stream.respond({ ":status": 200 }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-end": "yes" }));
      stream.end("body");
    } else stream.respond({ ":status": 200 });
    stream.on("aborted", () => codes.push(stream.rstCode));
  });
  const client = await ourClient(t, port);
  const reset = request(client, [["x-what", "reset"]]);
  const refused = request(client, [["x-what", "refuse"]]);
  const trailers = request(client, [["x-what", "trailers"]]);
  const open = Array.from({ length: 60 }, () => request(client, [["x-what", "open"]]));
  await eventually(() => open.every(({ seen }) => seen.headers !== undefined) && trailers.seen.ended && refused.seen.ended);
  await eventually(() => reset.seen.cut !== undefined);
  assert.equal(reset.seen.cut?.details["http2Code"], http2.constants.NGHTTP2_INTERNAL_ERROR);
  assert.equal(refused.seen.headers?.[0]?.[1], "503");
  assert.equal(trailers.seen.bytes.toString(), "body");
  assert.deepEqual(trailers.seen.trailers, [["x-end", "yes"]]);
  for (const { stream } of open) stream.reset();
  await eventually(() => codes.length === 60);
  assert.ok(codes.every((code) => code === http2.constants.NGHTTP2_CONNECT_ERROR));
});

test("Node's server may shrink and grow the window in the middle of a stream", async (t) => {
  const hash = createHash("sha256");
  let received = 0;
  const { port, sessions } = await nodeServer(t, { initialWindowSize: 1 << 20 }, (stream) => {
    stream.respond({ ":status": 200 });
    stream.on("data", (data: Buffer) => {
      hash.update(data);
      received += data.length;
    });
    stream.on("end", () => stream.end());
  });
  const client = await ourClient(t, port);
  const { seen, stream } = request(client);
  const sent = pour(stream, seen, 30 << 20);
  for (const [at, initialWindowSize] of [
    [2 << 20, 1_000],
    [8 << 20, 5_000_000],
    [16 << 20, 0],
    [16 << 20, 70_000],
  ] as const) {
    await eventually(() => received >= at, { timeoutMs: 20_000 });
    await new Promise<void>((resolve) => sessions[0]?.settings({ initialWindowSize }, () => resolve()));
  }
  await eventually(() => seen.ended, { timeoutMs: 30_000 });
  assert.equal(hash.digest("hex"), await sent);
  assert.equal(received, 30 << 20);
});

test("Node's server that drains: our open streams run on, and the session ends after them in order", async (t) => {
  const { port, sessions } = await nodeServer(t, {}, (stream) => {
    stream.respond({ ":status": 200 });
    stream.pipe(stream);
  });
  const client = await ourClient(t, port);
  const { seen, stream } = request(client);
  await eventually(() => seen.headers !== undefined);
  sessions[0]?.close();
  await eventually(() => !client.session.usable);
  stream.write(Buffer.from("still open"));
  stream.end();
  await eventually(() => seen.ended && client.closed);
  assert.equal(seen.bytes.toString(), "still open");
  assert.equal(client.error, undefined);
});

test("A stream limit of node's server is kept", async (t) => {
  const { port } = await nodeServer(t, { maxConcurrentStreams: 5 }, (stream) => stream.respond({ ":status": 200 }));
  const client = await ourClient(t, port);
  await eventually(() => client.session.room === 5);
  for (let i = 0; i < 5; i++) request(client);
  assert.equal(client.session.room, 0);
});
