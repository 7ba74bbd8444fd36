import assert from "node:assert/strict";
import { test } from "node:test";
import { MeshError } from "@ambit/core";
import { H2 } from "./faults.ts";
import { FLAG, FRAME, PREFACE, readUint16, readUint31, readUint32, SETTING } from "./frames.ts";
import type { HeaderList } from "./hpack.ts";
import { CLIENT_MAX_STREAMS, SERVER_MAX_STREAMS } from "./limits.ts";
import { ClientUnderTest, type Frame, frame, REQUEST, ServerUnderTest, StreamLog, settings, uint32 } from "./session.testing.ts";

const { END_HEADERS, END_STREAM, ACK } = FLAG;
const OK: HeaderList = [[":status", "200"]];

function settingsOf(sent: Frame | undefined): Record<number, number> {
  const { payload } = sent ?? assert.fail();
  const entries: [number, number][] = [];
  for (let at = 0; at < payload.length; at += 6) entries.push([readUint16(payload, at), readUint32(payload, at + 2)]);
  return Object.fromEntries(entries);
}

test("Both roles advertise the limits of the data plane reference", () => {
  const server = new ServerUnderTest(false);
  assert.deepEqual(settingsOf(server.take(FRAME.SETTINGS)[0]), {
    [SETTING.MAX_CONCURRENT_STREAMS]: 200,
    [SETTING.INITIAL_WINDOW_SIZE]: 4 * 1024 * 1024,
    [SETTING.MAX_FRAME_SIZE]: 1024 * 1024,
    [SETTING.MAX_HEADER_LIST_SIZE]: 64 * 1024,
  });
  const client = new ClientUnderTest(false);
  assert.deepEqual(settingsOf(client.take(FRAME.SETTINGS)[0]), {
    [SETTING.ENABLE_PUSH]: 0,
    [SETTING.INITIAL_WINDOW_SIZE]: 4 * 1024 * 1024,
    [SETTING.MAX_FRAME_SIZE]: 1024 * 1024,
    [SETTING.MAX_HEADER_LIST_SIZE]: 16 * 1024,
  });
  for (const peer of [server, client]) {
    const [update] = peer.take(FRAME.WINDOW_UPDATE);
    assert.equal(readUint31(update?.payload ?? Buffer.alloc(4), 0) + 65_535, 16 * 1024 * 1024);
  }
});

test("SETTINGS are acknowledged, one by one", () => {
  const server = new ServerUnderTest();
  server.send(Buffer.concat([settings([3, 5]), settings()]));
  assert.equal(server.take(FRAME.SETTINGS).filter(({ flags }) => flags === ACK).length, 3);
});

test("PING is answered with its own payload", () => {
  const server = new ServerUnderTest();
  server.send(frame(FRAME.PING, 0, 0, Buffer.from("12345678")));
  assert.deepEqual(
    server.take(FRAME.PING).map(({ flags, payload }) => [flags, payload.toString()]),
    [[ACK, "12345678"]],
  );
});

test("A client opens no more streams than it may: 100, or what the server says", () => {
  const client = new ClientUnderTest();
  assert.equal(client.session.room, CLIENT_MAX_STREAMS);
  for (let i = 0; i < CLIENT_MAX_STREAMS; i++) client.request();
  assert.equal(client.session.room, 0);
  assert.throws(() => client.request(), { code: "ENGINE_HTTP2_SESSION_CLOSED" });
  client.send(settings([3, 1000]));
  assert.equal(client.session.room, 0);
  client.send(frame(FRAME.RST_STREAM, 0, 1, uint32(H2.CANCEL)));
  assert.equal(client.session.room, 1);
  client.send(settings([3, 10]));
  assert.equal(client.session.room, 0);
  assert.deepEqual(
    client.take(FRAME.HEADERS).map(({ streamId }) => streamId),
    Array.from({ length: CLIENT_MAX_STREAMS }, (_, i) => 2 * i + 1),
  );
});

test("A server refuses streams above its limit, unprocessed, and takes others when some have ended", () => {
  const server = new ServerUnderTest();
  for (let i = 0; i < SERVER_MAX_STREAMS; i++) server.send(server.headers(2 * i + 1, REQUEST));
  assert.equal(server.requests.length, SERVER_MAX_STREAMS);
  server.send(server.headers(1001, REQUEST));
  assert.equal(server.resetCode(1001), H2.REFUSED_STREAM);
  assert.equal(server.requests.length, SERVER_MAX_STREAMS);
  server.requests[0]?.stream.respond([[":status", "503"]], true);
  server.accept(1003);
});

test("REFUSED_STREAM is told as safe to send again", () => {
  const client = new ClientUnderTest();
  const seen = client.request();
  client.send(frame(FRAME.RST_STREAM, 0, 1, uint32(H2.REFUSED_STREAM)));
  assert.equal(seen.cut?.code, "ENGINE_HTTP2_REFUSED");
});

test("A refusal ends the response and tells the client to stop sending", () => {
  const server = new ServerUnderTest();
  server.send(server.headers(1, REQUEST));
  server.requests[0]?.stream.respond([[":status", "401"]], true);
  server.turn();
  const [answer] = server.take(FRAME.HEADERS);
  assert.equal(answer?.flags, END_HEADERS | END_STREAM);
  assert.deepEqual(server.decode(answer), [[":status", "401"]]);
  assert.equal(server.resetCode(1), H2.NO_ERROR);
  assert.equal(server.session.openStreams, 0);
});

test("A request that has ended is refused without a reset", () => {
  const server = new ServerUnderTest();
  server.send(server.headers(1, REQUEST, true));
  server.requests[0]?.stream.respond([[":status", "401"]], true);
  server.turn();
  assert.equal(server.resetCode(1), undefined);
  assert.equal(server.session.openStreams, 0);
});

test("A client that resets before the answer is told to the server's listener, and an answer after it goes nowhere", () => {
  const server = new ServerUnderTest();
  server.send(server.headers(1, REQUEST));
  server.send(frame(FRAME.RST_STREAM, 0, 1, uint32(H2.CANCEL)));
  assert.equal(server.requests[0]?.cut?.code, "ENGINE_TUNNEL_RESET");
  server.frames.length = 0;
  server.requests[0]?.stream.respond(OK, false);
  server.turn();
  assert.deepEqual(server.frames, []);
});

test("reset() is told with a code that no peer takes for an end of data", () => {
  const client = new ClientUnderTest();
  client.request().stream?.reset();
  client.turn();
  assert.equal(client.resetCode(1), H2.CONNECT_ERROR);
  assert.equal(client.session.room, CLIENT_MAX_STREAMS);
});

test("A client's drain() ends the session after its last stream", () => {
  const client = new ClientUnderTest();
  const seen = client.request();
  client.session.drain();
  assert.equal(client.session.room, 0);
  assert.equal(client.session.usable, false);
  client.send(client.headers(1, OK, true));
  assert.equal(client.closed, false);
  seen.stream?.end();
  client.turn();
  assert.equal(client.goAway, H2.NO_ERROR);
  assert.ok(client.closed);
  assert.equal(client.error, undefined);
});

test("A server's drain() announces, waits for what is on its way, names the last stream and ends after it", () => {
  const server = new ServerUnderTest();
  server.accept(1);
  server.session.drain();
  server.session.drain();
  server.turn();
  assert.deepEqual([server.goAway, server.goAwayStream], [H2.NO_ERROR, 0x7fff_ffff]);
  const [mark] = server.take(FRAME.PING);
  // On its way when the GOAWAY arrived: served.
  const late = server.accept(3);
  server.send(frame(FRAME.PING, ACK, 0, mark?.payload ?? []));
  assert.deepEqual([server.goAway, server.goAwayStream], [H2.NO_ERROR, 3]);
  assert.equal(server.take(FRAME.GOAWAY).length, 2);
  server.send(
    Buffer.concat([server.headers(5, REQUEST), frame(FRAME.DATA, 0, 5, [1]), frame(FRAME.WINDOW_UPDATE, 0, 5, uint32(1))]),
  );
  assert.equal(server.requests.length, 2);
  assert.equal(server.closed, false);
  server.send(Buffer.concat([frame(FRAME.DATA, END_STREAM, 1), frame(FRAME.DATA, END_STREAM, 3)]));
  server.requests[0]?.stream.end();
  late.end();
  server.turn();
  assert.ok(server.closed);
  assert.equal(server.error, undefined);
});

test("GOAWAY tells a client which streams were not processed; the others go on", () => {
  const client = new ClientUnderTest();
  const [one, three, five] = [client.request(), client.request(), client.request()];
  client.send(frame(FRAME.GOAWAY, 0, 0, uint32(3, H2.NO_ERROR)));
  assert.equal(five.cut?.code, "ENGINE_HTTP2_REFUSED");
  assert.equal(one.cut ?? three.cut, undefined);
  assert.equal(client.session.usable, false);
  client.send(client.headers(1, OK, true));
  client.send(frame(FRAME.GOAWAY, 0, 0, uint32(1, H2.NO_ERROR)));
  assert.equal(three.cut?.code, "ENGINE_HTTP2_REFUSED");
  one.stream?.end();
  client.turn();
  assert.ok(client.closed);
  assert.equal(client.error, undefined);
});

test("GOAWAY with an error is why the session has ended", () => {
  const client = new ClientUnderTest();
  client.send(frame(FRAME.GOAWAY, 0, 0, Buffer.concat([uint32(0, H2.ENHANCE_YOUR_CALM), Buffer.from("too_many_pings")])));
  assert.ok(client.closed);
  assert.equal(client.error?.code, "ENGINE_HTTP2_GOAWAY");
  assert.match(client.error?.message ?? "", /ENHANCE_YOUR_CALM: too_many_pings/);
});

test("A connection that ends cuts its streams, in order or not", () => {
  for (const error of [undefined, new MeshError("ENGINE_RESET", "reset")]) {
    const client = new ClientUnderTest();
    const seen = client.request();
    client.breakWith(error);
    assert.equal(seen.cut?.code, error?.code ?? "ENGINE_HTTP2_SESSION_CLOSED");
    assert.ok(client.closed);
    assert.equal(client.error?.code, error?.code);
  }
});

test("A stream that was cut tells whoever reads it later", () => {
  const client = new ClientUnderTest();
  const seen = client.request();
  client.send(Buffer.concat([client.headers(1, OK), frame(FRAME.RST_STREAM, 0, 1, uint32(H2.INTERNAL_ERROR))]));
  const log = new StreamLog(seen.stream ?? assert.fail());
  client.turn();
  assert.equal(log.error?.code, "ENGINE_TUNNEL_RESET");
  seen.stream?.reset();
  client.turn();
  assert.equal(client.resetCode(1), undefined);
});

test("Silence for 10 s is met with a PING, 20 s more with the end; any data counts as life", () => {
  const client = new ClientUnderTest();
  const seen = client.request();
  client.advance(9_999);
  assert.equal(client.take(FRAME.PING).length, 0);
  client.advance(1);
  const [ping] = client.take(FRAME.PING);
  client.advance(19_999);
  client.send(frame(FRAME.PING, ACK, 0, ping?.payload ?? []));
  assert.equal(client.closed, false);
  client.advance(10_001);
  assert.equal(client.take(FRAME.PING).length, 1);
  client.advance(5_000);
  client.send(settings());
  client.advance(9_000);
  assert.equal(client.take(FRAME.PING).length, 0);
  client.advance(21_001);
  assert.equal(client.error?.code, "ENGINE_HTTP2_PEER_SILENT");
  assert.equal(client.channelEnd, "reset");
  assert.equal(seen.cut?.code, "ENGINE_HTTP2_PEER_SILENT");
});

test("A listener that throws ends its session and is not lost", () => {
  const server = new ServerUnderTest();
  const stream = server.accept(1);
  stream.handle({
    onData: () => {
      throw new Error("a mistake in the handler");
    },
    onEnd: () => undefined,
    onError: () => undefined,
  });
  server.turn();
  server.send(frame(FRAME.DATA, 0, 1, [1]));
  assert.equal(server.goAway, H2.INTERNAL_ERROR);
  assert.equal(server.error?.code, "ENGINE_HTTP2_INTERNAL");
  assert.match(server.error?.message ?? "", /a mistake in the handler/);
});

test("Header lists that cannot be sent throw before anything is written, and the session goes on", () => {
  const client = new ClientUnderTest();
  client.frames.length = 0;
  const listener = { onHeaders: () => undefined, onCut: () => undefined };
  for (const bad of [
    ["Upper", "x"],
    ["x y", "x"],
    ["", "x"],
    ["x", "a\nb"],
    ["x", " a"],
    ["x", "a\t"],
    ["x", "\u20ac"],
  ] as const) {
    assert.throws(() => client.session.request([...REQUEST, bad], false, listener), { code: "ENGINE_HTTP2_HEADERS_INVALID" });
  }
  client.turn();
  assert.deepEqual(client.frames, []);
  client.request();
  const [sent] = client.take(FRAME.HEADERS);
  assert.equal(sent?.streamId, 1);
  assert.deepEqual(client.decode(sent), REQUEST);
});

test("A block longer than a frame is sent in CONTINUATIONs", () => {
  const client = new ClientUnderTest();
  client.session.request([...REQUEST, ["x-long", "v".repeat(40_000)]], true, {
    onHeaders: () => undefined,
    onCut: () => undefined,
  });
  client.turn();
  const sent = client.frames.filter(({ streamId }) => streamId === 1);
  assert.deepEqual(
    sent.map(({ type, flags }) => [type, flags]),
    [
      [FRAME.HEADERS, END_STREAM],
      [FRAME.CONTINUATION, 0],
      [FRAME.CONTINUATION, END_HEADERS],
    ],
  );
  const whole = Buffer.concat(sent.map(({ payload }) => payload));
  const server = new ServerUnderTest(false);
  server.send(Buffer.concat([PREFACE, settings(), ...sent.map((one) => frame(one.type, one.flags, 1, one.payload))]));
  assert.equal(server.requests[0]?.headers[2]?.[1].length, 40_000);
  assert.ok(whole.length > 40_000);
});
