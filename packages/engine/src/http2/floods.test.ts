import assert from "node:assert/strict";
import { test } from "node:test";
import { H2 } from "./faults.ts";
import { FLAG, FRAME } from "./frames.ts";
import { HEADER_BLOCK_FRAMES, SERVER_HEADER_LIST_BYTES, SERVER_MAX_STREAMS } from "./limits.ts";
import { frame, REQUEST, ServerUnderTest, StreamLog, settings, uint32 } from "./session.testing.ts";

const { END_HEADERS, ACK } = FLAG;

test("A header list above the limit refuses its stream and keeps the session", () => {
  const server = new ServerUnderTest();
  const many = Array.from({ length: 100 }, (_, i): [string, string] => [`x-${i}`, "v".repeat(1_000)]);
  const block = server.block([...REQUEST, ...many]);
  const parts: Buffer[] = [];
  for (let at = 0; at < block.length; at += 16_000) {
    const end = at + 16_000 >= block.length ? END_HEADERS : 0;
    parts.push(frame(at === 0 ? FRAME.HEADERS : FRAME.CONTINUATION, end, 1, block.subarray(at, at + 16_000)));
  }
  assert.ok(block.length > SERVER_HEADER_LIST_BYTES);
  server.send(Buffer.concat(parts));
  // More bytes than any list within the limit can take.
  assert.equal(server.goAway, H2.ENHANCE_YOUR_CALM);

  const repeated = new ServerUnderTest();
  const small = Array.from({ length: 3_000 }, (): [string, string] => ["x-same", "value"]);
  repeated.send(repeated.headers(1, [...REQUEST, ...small]));
  assert.equal(repeated.resetCode(1), H2.ENHANCE_YOUR_CALM);
  assert.equal(repeated.requests.length, 0);
  repeated.accept(3);
});

/** Sends until the session ends; gives the number of times. */
function flood(server: ServerUnderTest, next: (i: number) => Buffer, limit: number): number {
  for (let i = 0; i < limit; i++) {
    server.send(next(i));
    if (server.closed) return i + 1;
  }
  return limit;
}

test("Floods end the session with ENHANCE_YOUR_CALM after a bounded number of frames", () => {
  const floods: readonly (readonly [what: string, next: (server: ServerUnderTest) => (i: number) => Buffer, atMost: number])[] = [
    [
      "CONTINUATION",
      (s) => (i) => frame(i === 0 ? FRAME.HEADERS : FRAME.CONTINUATION, 0, 1, i === 0 ? s.block(REQUEST) : []),
      HEADER_BLOCK_FRAMES + 1,
    ],
    ["SETTINGS", () => () => settings(), 50],
    ["SETTINGS acknowledgements", () => () => frame(FRAME.SETTINGS, ACK, 0), 1_100],
    ["PING", () => () => frame(FRAME.PING, 0, 0, Buffer.alloc(8)), 600],
    ["PING acknowledgements", () => () => frame(FRAME.PING, ACK, 0, Buffer.alloc(8)), 1_100],
    ["PRIORITY", () => () => frame(FRAME.PRIORITY, 0, 1, [0, 0, 0, 0, 0]), 1_100],
    ["unknown frames", () => () => frame(0xbb, 0, 0), 1_100],
    [
      "rapid reset",
      (s) => (i) => Buffer.concat([s.headers(2 * i + 1, REQUEST), frame(FRAME.RST_STREAM, 0, 2 * i + 1, uint32(8))]),
      250,
    ],
    ["malformed requests", (s) => (i) => s.headers(2 * i + 1, [[":method", "CONNECT"]]), 150],
    [
      "streams that we are made to reset",
      (s) => (i) => Buffer.concat([s.headers(2 * i + 1, REQUEST), frame(8, 0, 2 * i + 1, uint32(0))]),
      150,
    ],
    ["streams above the limit", (s) => (i) => s.headers(2 * i + 1, REQUEST), SERVER_MAX_STREAMS + 450],
  ];
  for (const [what, next, atMost] of floods) {
    const server = new ServerUnderTest();
    const sent = flood(server, next(server), 5_000);
    assert.equal(server.goAway, H2.ENHANCE_YOUR_CALM, what);
    assert.ok(sent <= atMost, `${what}: ${sent}`);
    assert.equal(server.error?.code, "ENGINE_HTTP2_FLOODED", what);
  }
  for (const [what, next] of [
    ["empty DATA", () => frame(FRAME.DATA, 0, 1)],
    ["WINDOW_UPDATE", () => frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(1))],
  ] as const) {
    const server = new ServerUnderTest();
    server.accept(1);
    assert.ok(flood(server, next, 5_000) < 1_100, what);
    assert.equal(server.goAway, H2.ENHANCE_YOUR_CALM, what);
  }
});

test("An honest peer's pace is no flood", () => {
  const server = new ServerUnderTest();
  let id = 1;
  for (let second = 0; second < 120; second++) {
    for (let i = 0; i < 50; i++, id += 2) {
      server.send(Buffer.concat([server.headers(id, REQUEST), frame(FRAME.RST_STREAM, 0, id, uint32(8))]));
      server.send(frame(FRAME.PING, 0, 0, Buffer.alloc(8)));
    }
    server.advance(1_000);
  }
  assert.equal(server.closed, false);
  const stream = server.accept(id);
  new StreamLog(stream);
  server.send(Buffer.concat([settings([4, 1 << 20]), frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(1 << 30))]));
  for (let i = 0; i < 10_000; i++) {
    stream.write(Buffer.alloc(1_000));
    server.turn();
    server.send(frame(FRAME.WINDOW_UPDATE, 0, id, uint32(1_000)));
  }
  assert.equal(server.closed, false);
  assert.equal(server.take(FRAME.DATA).length, 10_000);
});
