import assert from "node:assert/strict";
import { test } from "node:test";
import { H2 } from "./faults.ts";
import { FLAG, FRAME, PREFACE } from "./frames.ts";
import type { HeaderList } from "./hpack.ts";
import { MAX_FRAME_BYTES } from "./limits.ts";
import { ClientUnderTest, frame, REQUEST, ServerUnderTest, StreamLog, settings, uint32 } from "./session.testing.ts";

const { END_HEADERS, END_STREAM, PADDED, PRIORITY, ACK } = FLAG;

/** Frames that end the connection of a server on which streams 1 (open) and 3 (ended by the client) exist, 5 was reset by us. */
const connectionErrors: readonly (readonly [what: string, code: number, bytes: (server: ServerUnderTest) => Buffer])[] = [
  ["DATA on stream 0", H2.PROTOCOL_ERROR, () => frame(FRAME.DATA, 0, 0, [1])],
  ["DATA on an idle stream", H2.PROTOCOL_ERROR, () => frame(FRAME.DATA, 0, 99, [1])],
  ["DATA on a stream of ours", H2.PROTOCOL_ERROR, () => frame(FRAME.DATA, 0, 2, [1])],
  ["DATA on a stream that has ended both ways", H2.STREAM_CLOSED, () => frame(FRAME.DATA, 0, 7, [1])],
  ["DATA with more padding than payload", H2.PROTOCOL_ERROR, () => frame(FRAME.DATA, PADDED, 1, [5, 1, 2, 3, 4])],
  ["padded DATA without pad length", H2.FRAME_SIZE_ERROR, () => frame(FRAME.DATA, PADDED, 1)],
  ["DATA larger than our maximum", H2.FRAME_SIZE_ERROR, () => frame(FRAME.DATA, 0, 1, Buffer.alloc(MAX_FRAME_BYTES + 1))],
  ["HEADERS on stream 0", H2.PROTOCOL_ERROR, (s) => s.headers(0, REQUEST)],
  ["HEADERS on an even stream", H2.PROTOCOL_ERROR, (s) => s.headers(10, REQUEST)],
  ["HEADERS on a stream that has ended both ways", H2.STREAM_CLOSED, (s) => s.headers(7, REQUEST)],
  ["HEADERS with more padding than payload", H2.PROTOCOL_ERROR, () => frame(FRAME.HEADERS, END_HEADERS | PADDED, 9, [3, 1, 2])],
  ["HEADERS with pad length only announced", H2.FRAME_SIZE_ERROR, () => frame(FRAME.HEADERS, END_HEADERS | PADDED, 9)],
  [
    "HEADERS too short for its priority",
    H2.FRAME_SIZE_ERROR,
    () => frame(FRAME.HEADERS, END_HEADERS | PRIORITY, 9, [0, 0, 0, 0]),
  ],
  ["a header block that HPACK cannot read", H2.COMPRESSION_ERROR, () => frame(FRAME.HEADERS, END_HEADERS, 9, [0xff, 0xff, 0xff])],
  ["a header index of no table", H2.COMPRESSION_ERROR, () => frame(FRAME.HEADERS, END_HEADERS, 9, [0x80 | 100])],
  ["PRIORITY on stream 0", H2.PROTOCOL_ERROR, () => frame(FRAME.PRIORITY, 0, 0, [0, 0, 0, 0, 0])],
  ["RST_STREAM on stream 0", H2.PROTOCOL_ERROR, () => frame(FRAME.RST_STREAM, 0, 0, uint32(8))],
  ["RST_STREAM on an idle stream", H2.PROTOCOL_ERROR, () => frame(FRAME.RST_STREAM, 0, 99, uint32(8))],
  ["RST_STREAM of another length", H2.FRAME_SIZE_ERROR, () => frame(FRAME.RST_STREAM, 0, 1, [0, 0, 0])],
  ["SETTINGS on a stream", H2.PROTOCOL_ERROR, () => frame(FRAME.SETTINGS, 0, 1)],
  ["SETTINGS of a broken length", H2.FRAME_SIZE_ERROR, () => frame(FRAME.SETTINGS, 0, 0, [0, 1, 0, 0, 0])],
  ["SETTINGS acknowledgement with content", H2.FRAME_SIZE_ERROR, () => frame(FRAME.SETTINGS, ACK, 0, [0, 1, 0, 0, 0, 0])],
  ["SETTINGS_ENABLE_PUSH of 2", H2.PROTOCOL_ERROR, () => settings([2, 2])],
  ["SETTINGS_INITIAL_WINDOW_SIZE above 2^31 - 1", H2.FLOW_CONTROL_ERROR, () => settings([4, 0x8000_0000])],
  ["SETTINGS_MAX_FRAME_SIZE below 2^14", H2.PROTOCOL_ERROR, () => settings([5, 16_383])],
  ["SETTINGS_MAX_FRAME_SIZE above 2^24 - 1", H2.PROTOCOL_ERROR, () => settings([5, 0x100_0000])],
  [
    "SETTINGS that make a window overflow",
    H2.FLOW_CONTROL_ERROR,
    () => Buffer.concat([frame(8, 0, 1, uint32(1)), settings([4, 0x7fff_ffff])]),
  ],
  ["SETTINGS with thousands of entries", H2.ENHANCE_YOUR_CALM, () => frame(FRAME.SETTINGS, 0, 0, Buffer.alloc(6_000))],
  ["PUSH_PROMISE", H2.PROTOCOL_ERROR, () => frame(FRAME.PUSH_PROMISE, END_HEADERS, 1, uint32(2))],
  ["PING on a stream", H2.PROTOCOL_ERROR, () => frame(FRAME.PING, 0, 1, Buffer.alloc(8))],
  ["PING of another length", H2.FRAME_SIZE_ERROR, () => frame(FRAME.PING, 0, 0, Buffer.alloc(7))],
  ["GOAWAY on a stream", H2.PROTOCOL_ERROR, () => frame(FRAME.GOAWAY, 0, 1, Buffer.alloc(8))],
  ["GOAWAY of less than 8 bytes", H2.FRAME_SIZE_ERROR, () => frame(FRAME.GOAWAY, 0, 0, Buffer.alloc(7))],
  ["GOAWAY with a book inside", H2.ENHANCE_YOUR_CALM, () => frame(FRAME.GOAWAY, 0, 0, Buffer.alloc(20_000))],
  ["WINDOW_UPDATE of 0 on the connection", H2.PROTOCOL_ERROR, () => frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(0))],
  ["WINDOW_UPDATE above 2^31 - 1 on the connection", H2.FLOW_CONTROL_ERROR, () => frame(8, 0, 0, uint32(0x7fff_ffff))],
  ["WINDOW_UPDATE on an idle stream", H2.PROTOCOL_ERROR, () => frame(FRAME.WINDOW_UPDATE, 0, 99, uint32(1))],
  ["WINDOW_UPDATE of 0 on an idle stream", H2.PROTOCOL_ERROR, () => frame(FRAME.WINDOW_UPDATE, 0, 99, uint32(0))],
  ["WINDOW_UPDATE of another length", H2.FRAME_SIZE_ERROR, () => frame(FRAME.WINDOW_UPDATE, 0, 0, [0, 0, 1])],
  ["CONTINUATION without a header block", H2.PROTOCOL_ERROR, () => frame(FRAME.CONTINUATION, END_HEADERS, 1)],
  ["CONTINUATION on stream 0", H2.PROTOCOL_ERROR, () => frame(FRAME.CONTINUATION, END_HEADERS, 0)],
  [
    "a frame of an unknown type larger than our maximum",
    H2.FRAME_SIZE_ERROR,
    () => frame(0xbb, 0, 0, Buffer.alloc(MAX_FRAME_BYTES + 1)),
  ],
  [
    "a frame between HEADERS and CONTINUATION",
    H2.PROTOCOL_ERROR,
    (s) => Buffer.concat([half(s), frame(FRAME.PING, 0, 0, Buffer.alloc(8))]),
  ],
  ["an unknown frame between HEADERS and CONTINUATION", H2.PROTOCOL_ERROR, (s) => Buffer.concat([half(s), frame(0xbb, 0, 9)])],
  [
    "CONTINUATION of another stream",
    H2.PROTOCOL_ERROR,
    (s) => Buffer.concat([half(s), frame(FRAME.CONTINUATION, END_HEADERS, 1)]),
  ],
];

function half(server: ServerUnderTest): Buffer {
  return frame(FRAME.HEADERS, 0, 9, server.block(REQUEST));
}

/** Streams: 1 is open, 3 ended by the client, 5 reset by us, 7 ended both ways. */
function prepared(): ServerUnderTest {
  const server = new ServerUnderTest();
  server.accept(1);
  server.accept(3);
  server.send(frame(FRAME.DATA, END_STREAM, 3));
  server.accept(5).reset();
  const done = server.accept(7);
  server.send(frame(FRAME.DATA, END_STREAM, 7));
  done.end();
  server.turn();
  return server;
}

for (const [what, code, bytes] of connectionErrors) {
  test(`${what} ends the connection, however it is cut into reads`, () => {
    for (const piece of [1 << 18, 1]) {
      const server = prepared();
      const wire = bytes(server);
      if (piece === 1 && wire.length > 100_000) continue;
      const open = new StreamLog(server.requests[0]?.stream ?? assert.fail());
      server.send(wire, piece);
      assert.equal(server.goAway, code);
      assert.equal(server.goAwayStream, 7);
      assert.equal(server.channelEnd, "closed");
      assert.equal(server.resetCode(1), H2.CONNECT_ERROR, "an open stream must be cut, not ended");
      assert.equal(open.ended, false);
      assert.ok(open.error !== undefined);
      assert.ok(server.closed);
      assert.match(server.error?.code ?? "", /ENGINE_HTTP2_(PROTOCOL_BROKEN|FLOODED)/);
      assert.equal(server.error?.details["http2Code"], code);
    }
  });
}

const streamErrors: readonly (readonly [
  what: string,
  streamId: number,
  code: number,
  bytes: (server: ServerUnderTest) => Buffer,
])[] = [
  ["WINDOW_UPDATE of 0", 1, H2.PROTOCOL_ERROR, () => frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(0))],
  ["WINDOW_UPDATE above 2^31 - 1", 1, H2.FLOW_CONTROL_ERROR, () => frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(0x7fff_ffff))],
  ["DATA after END_STREAM", 3, H2.STREAM_CLOSED, () => frame(FRAME.DATA, 0, 3, [1])],
  ["HEADERS after END_STREAM", 3, H2.STREAM_CLOSED, (s) => s.headers(3, [["x", "y"]], true)],
  ["trailers without END_STREAM", 1, H2.PROTOCOL_ERROR, (s) => s.headers(1, [["x", "y"]])],
  ["trailers with a pseudo field", 1, H2.PROTOCOL_ERROR, (s) => s.headers(1, [[":path", "/"]], true)],
  ["PRIORITY of another length", 1, H2.FRAME_SIZE_ERROR, () => frame(FRAME.PRIORITY, 0, 1, [0, 0, 0, 0])],
];

for (const [what, streamId, code, bytes] of streamErrors) {
  test(`${what} ends its stream only`, () => {
    const server = prepared();
    const seen = server.requests.find(({ stream }) => stream.id === streamId) ?? assert.fail();
    server.send(Buffer.concat([bytes(server), frame(FRAME.PING, 0, 0, Buffer.from("pingpong"))]));
    assert.equal(server.resetCode(streamId), code);
    assert.equal(server.goAway, undefined);
    assert.equal(seen.cut?.details["http2Code"], code);
    assert.equal(server.take(FRAME.PING)[0]?.payload.toString(), "pingpong");
    assert.equal(server.session.openStreams, 1);
  });
}

test("Frames on a stream that we have reset are ignored: they were on their way", () => {
  const server = prepared();
  server.frames.length = 0;
  server.send(
    Buffer.concat([
      frame(FRAME.DATA, 0, 5, [1, 2, 3]),
      frame(FRAME.WINDOW_UPDATE, 0, 5, uint32(1)),
      frame(FRAME.DATA, END_STREAM, 5),
      frame(FRAME.RST_STREAM, 0, 5, uint32(8)),
      frame(FRAME.WINDOW_UPDATE, 0, 7, uint32(1)),
      frame(FRAME.RST_STREAM, 0, 7, uint32(8)),
      frame(FRAME.PRIORITY, 0, 7, [0, 0, 0, 0, 0]),
    ]),
  );
  assert.deepEqual(server.frames, []);
  assert.equal(server.closed, false);
});

test("What has no meaning for us is ignored: unknown types and settings, PRIORITY, reserved bits, unknown flags", () => {
  const server = prepared();
  server.frames.length = 0;
  const reserved = frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(0x8000_0001));
  reserved[5] = 0x80;
  server.send(
    Buffer.concat([
      frame(0xbb, 0xff, 1, Buffer.alloc(5_000)),
      frame(0xbb, 0, 0),
      frame(FRAME.PRIORITY, 0, 99, [0, 0, 0, 1, 7]),
      settings([0x99, 5], [8, 1]),
      reserved,
      frame(FRAME.PING, 0xf0, 0, Buffer.from("pingpong")),
    ]),
    3,
  );
  assert.deepEqual(
    server.frames.map(({ type, flags }) => [type, flags]),
    [
      [FRAME.SETTINGS, ACK],
      [FRAME.PING, ACK],
    ],
  );
});

test("A request may come padded, with priority, in many CONTINUATIONs, and byte by byte", () => {
  const server = new ServerUnderTest();
  const first = server.block(REQUEST);
  server.send(
    frame(
      FRAME.HEADERS,
      END_HEADERS | PADDED | PRIORITY,
      1,
      Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 7]), first, Buffer.alloc(4)]),
    ),
    1,
  );
  const second = server.block([...REQUEST, ["forwarded", "x".repeat(200)]]);
  server.send(
    Buffer.concat([
      frame(FRAME.HEADERS, END_STREAM, 3, second.subarray(0, 1)),
      frame(FRAME.CONTINUATION, 0, 3),
      frame(FRAME.CONTINUATION, 0, 3, second.subarray(1, 50)),
      frame(FRAME.CONTINUATION, END_HEADERS, 3, second.subarray(50)),
    ]),
    7,
  );
  assert.deepEqual(
    server.requests.map(({ headers, endStream }) => [headers, endStream]),
    [
      [REQUEST, false],
      [[...REQUEST, ["forwarded", "x".repeat(200)]], true],
    ],
  );
});

test("DATA arrives whole whatever its padding and however it is cut", () => {
  for (const piece of [1, 2, 5, 1000]) {
    const server = new ServerUnderTest();
    const stream = server.accept(1);
    const log = new StreamLog(stream);
    server.send(
      Buffer.concat([
        frame(FRAME.DATA, 0, 1, Buffer.from("one ")),
        frame(FRAME.DATA, PADDED, 1, Buffer.from("\x03two \0\0\0", "latin1")),
        frame(FRAME.DATA, PADDED, 1, [0]),
        frame(FRAME.DATA, PADDED, 1, [2, 0, 0]),
        frame(FRAME.DATA, PADDED | END_STREAM, 1, Buffer.from("\x00three", "latin1")),
      ]),
      piece,
    );
    assert.equal(log.text, "one two three");
    assert.ok(log.ended);
    assert.equal(server.closed, false);
  }
});

test("A peer that does not speak HTTP/2, or does not begin with SETTINGS, is refused", () => {
  for (const bytes of [
    Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    Buffer.concat([PREFACE, frame(FRAME.PING, 0, 0, Buffer.alloc(8))]),
    Buffer.concat([PREFACE, frame(FRAME.SETTINGS, ACK, 0)]),
    Buffer.concat([PREFACE, frame(0xbb, 0, 0)]),
  ]) {
    const server = new ServerUnderTest(false);
    server.send(bytes);
    assert.equal(server.goAway, H2.PROTOCOL_ERROR);
    assert.ok(server.closed);
  }
  const client = new ClientUnderTest(false);
  client.send(frame(FRAME.HEADERS, END_HEADERS, 1, [0x88]));
  assert.equal(client.goAway, H2.PROTOCOL_ERROR);
});

test("A request that is malformed ends its stream, and HPACK stays in step", () => {
  const malformed: readonly HeaderList[] = [
    [],
    [[":method", "CONNECT"]],
    [
      [":method", "CONNECT"],
      [":authority", ""],
    ],
    [...REQUEST, [":path", "/"]],
    [...REQUEST, [":scheme", "https"]],
    [...REQUEST, [":authority", "twice"]],
    [...REQUEST, [":unknown", "x"]],
    [
      [":authority", "10.0.0.1:80"],
      ["x", "y"],
      [":method", "CONNECT"],
    ],
    [...REQUEST, ["connection", "close"]],
    [...REQUEST, ["transfer-encoding", "chunked"]],
    [...REQUEST, ["te", "gzip"]],
    [...REQUEST, ["x", "a\nb"]],
    [...REQUEST, ["x", "trailing "]],
    [...REQUEST, ["Upper", "x"]],
    [
      [":method", "CONNECT"],
      [":authority", "10.0.0.1:80\r\nx: y"],
    ],
    [
      [":method", "GET"],
      [":authority", "x"],
    ],
    [[":status", "200"]],
  ];
  const server = new ServerUnderTest();
  malformed.forEach((list, i) => {
    server.send(frame(FRAME.HEADERS, END_HEADERS, 2 * i + 1, server.rawBlock(list)));
    assert.equal(server.resetCode(2 * i + 1), H2.PROTOCOL_ERROR, JSON.stringify(list));
  });
  assert.equal(server.requests.length, 0);
  assert.equal(server.session.openStreams, 0);
  server.accept(101);
});

test("A response that is malformed cuts its stream", () => {
  const malformed: readonly (readonly [HeaderList, boolean])[] = [
    [[], false],
    [[[":status", "20"]], false],
    [[[":status", "abc"]], false],
    [[["x", "y"]], false],
    [
      [
        [":status", "200"],
        [":status", "200"],
      ],
      false,
    ],
    [
      [
        [":status", "200"],
        ["upgrade", "x"],
      ],
      false,
    ],
    [[[":status", "103"]], true],
  ];
  for (const [list, endStream] of malformed) {
    const client = new ClientUnderTest();
    const seen = client.request();
    client.send(client.headers(1, list, endStream));
    assert.equal(client.resetCode(1), H2.PROTOCOL_ERROR, JSON.stringify(list));
    assert.equal(seen.cut?.code, "ENGINE_HTTP2_PROTOCOL_BROKEN");
    assert.equal(seen.headers, undefined);
    assert.equal(client.closed, false);
  }
});

test("A client skips interim responses, and takes trailers", () => {
  const client = new ClientUnderTest();
  const seen = client.request();
  client.send(
    Buffer.concat([
      client.headers(1, [[":status", "103"]]),
      client.headers(1, [
        [":status", "200"],
        ["x", "y"],
      ]),
    ]),
  );
  assert.deepEqual(seen.headers, [
    [":status", "200"],
    ["x", "y"],
  ]);
  client.send(client.headers(1, [["grpc-status", "0"]], true));
  assert.deepEqual(seen.trailers, [["grpc-status", "0"]]);
});

test("Frames that only a server may get end a client's connection", () => {
  for (const [code, bytes] of [
    [H2.PROTOCOL_ERROR, (client: ClientUnderTest) => client.headers(2, [[":status", "200"]])],
    [H2.PROTOCOL_ERROR, (client: ClientUnderTest) => client.headers(3, [[":status", "200"]])],
    [H2.PROTOCOL_ERROR, () => frame(FRAME.DATA, 0, 3, [1])],
    [H2.PROTOCOL_ERROR, () => settings([2, 1])],
    [H2.PROTOCOL_ERROR, () => frame(FRAME.PUSH_PROMISE, END_HEADERS, 1, uint32(2))],
  ] as const) {
    const client = new ClientUnderTest();
    const seen = client.request();
    client.send(bytes(client));
    assert.equal(client.goAway, code);
    assert.ok(seen.cut !== undefined);
    assert.ok(client.closed);
  }
});
