import assert from "node:assert/strict";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { authority, eventually, FarProxy, LOOPBACK, NearProxy, SERVER, startLoop } from "./rig.testing.ts";

interface Refusing {
  readonly port: number;
  readonly sessions: number;
  readonly streams: number;
}

/** A peer of another make, which answers the streams of its `n`th session with `code`, or with 200 where it is undefined. */
async function peer(t: TestContext, code: (session: number) => number | undefined): Promise<Refusing> {
  const { certChain, privateKey, roots } = authority.issue({ uris: [SERVER] });
  const server = http2.createSecureServer({ cert: certChain, key: privateKey, ca: roots, requestCert: true });
  const sessions: http2.Http2Session[] = [];
  let streams = 0;
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => undefined);
    session.on("stream", (stream: http2.ServerHttp2Stream) => {
      streams++;
      stream.on("error", () => undefined);
      const answer = code(sessions.indexOf(session));
      if (answer === undefined) stream.respond({ ":status": 200 });
      else stream.close(answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    get sessions() {
      return sessions.length;
    },
    get streams() {
      return streams;
    },
  };
}

const { NGHTTP2_REFUSED_STREAM, NGHTTP2_INTERNAL_ERROR } = http2.constants;

function nearTo(t: TestContext): NearProxy {
  const engine = startLoop(t);
  return new NearProxy(engine, new FarProxy(engine));
}

test("A tunnel that the peer has not processed is sent again once, on another session", async (t) => {
  const far = await peer(t, (session) => (session === 0 ? NGHTTP2_REFUSED_STREAM : undefined));
  const near = nearTo(t);
  await near.tunnel("10.0.0.1:80", { remote: { ip: LOOPBACK, port: far.port } });
  assert.deepEqual([far.sessions, far.streams], [2, 2]);
});

test("A tunnel that the peer refuses unprocessed twice is told so", async (t) => {
  const far = await peer(t, () => NGHTTP2_REFUSED_STREAM);
  const near = nearTo(t);
  const result = await near.open("10.0.0.1:80", { remote: { ip: LOOPBACK, port: far.port } });
  assert.equal(result.kind === "failed" && result.error.code, "HBONE_NOT_PROCESSED");
  assert.equal(far.streams, 2);
});

test("A tunnel that the peer resets before its answer is not sent again: it may have been acted on", async (t) => {
  const far = await peer(t, () => NGHTTP2_INTERNAL_ERROR);
  const near = nearTo(t);
  const result = await near.open("10.0.0.1:80", { remote: { ip: LOOPBACK, port: far.port } });
  assert.equal(result.kind === "failed" && result.error.code, "HBONE_TUNNEL_RESET");
  assert.deepEqual([far.sessions, far.streams], [1, 1]);
  near.pool.drain();
  await eventually(() => near.pool.sessions === 0);
});
