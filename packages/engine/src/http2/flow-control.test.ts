import assert from "node:assert/strict";
import { test } from "node:test";
import { H2 } from "./faults.ts";
import { FLAG, FRAME, readUint32 } from "./frames.ts";
import { CONNECTION_WINDOW_BYTES, MAX_FRAME_BYTES, SESSION_UNCONSUMED_BYTES, STREAM_WINDOW_BYTES } from "./limits.ts";
import { ClientUnderTest, frame, ServerUnderTest, StreamLog, settings, uint32 } from "./session.testing.ts";
import type { Http2Stream } from "./stream.ts";

const MIB = 1024 * 1024;

function sentBytes(server: ServerUnderTest, streamId?: number): number {
  return server
    .take(FRAME.DATA)
    .filter((sent) => streamId === undefined || sent.streamId === streamId)
    .reduce((sum, { payload }) => sum + payload.length, 0);
}

function granted(server: ServerUnderTest, streamId: number): number {
  return server.frames
    .filter(({ type, streamId: id }) => type === FRAME.WINDOW_UPDATE && id === streamId)
    .reduce((sum, { payload }) => sum + readUint32(payload, 0), 0);
}

function sendData(server: ServerUnderTest, streamId: number, length: number): void {
  for (let at = 0; at < length; at += MAX_FRAME_BYTES) {
    server.send(frame(FRAME.DATA, 0, streamId, Buffer.alloc(Math.min(MAX_FRAME_BYTES, length - at))));
  }
}

test("A stream sends no more than its window, and goes on with WINDOW_UPDATE", () => {
  const server = new ServerUnderTest();
  server.send(frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(MIB)));
  const stream = server.accept(1);
  const log = new StreamLog(stream);
  assert.equal(stream.write(Buffer.alloc(65_535, 1)), false);
  assert.equal(stream.write(Buffer.alloc(1_000, 2)), false);
  stream.end();
  server.turn();
  assert.equal(sentBytes(server), 65_535);
  server.send(frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(400)));
  assert.equal(sentBytes(server), 400);
  server.send(frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(10_000)));
  const rest = server.take(FRAME.DATA);
  assert.deepEqual(
    rest.map(({ payload, flags }) => [payload.length, flags]),
    [
      [600, 0],
      [0, FLAG.END_STREAM],
    ],
  );
  assert.equal(log.error, undefined);
});

test("The connection window holds all streams together, and who waited longest goes first", () => {
  const server = new ServerUnderTest();
  const [one, three] = [server.accept(1), server.accept(3)];
  one.write(Buffer.alloc(50_000));
  three.write(Buffer.alloc(50_000));
  assert.equal(one.write(Buffer.alloc(1)), false);
  server.turn();
  assert.deepEqual([sentBytes(server, 1)], [50_000]);
  server.send(frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(30_000)));
  const sent = server.take(FRAME.DATA).map(({ streamId, payload }) => [streamId, payload.length]);
  assert.deepEqual(sent.slice(0, 2), [
    [3, 16_384],
    [3, 13_616],
  ]);
  server.send(frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(100_000)));
  assert.equal(sentBytes(server), 100_001 - 65_535 - 30_000);
});

test("A small initial window holds back streams that are open, down to below zero", () => {
  const server = new ServerUnderTest();
  server.send(frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(MIB)));
  const stream = server.accept(1);
  stream.write(Buffer.alloc(60_000));
  server.send(settings([4, 10_000]));
  stream.write(Buffer.alloc(20_000));
  server.turn();
  assert.equal(sentBytes(server), 60_000);
  server.send(frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(50_000)));
  assert.equal(sentBytes(server), 0);
  server.send(frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(1)));
  assert.equal(sentBytes(server), 1);
  server.send(settings([4, 30_000]));
  assert.equal(sentBytes(server), 19_999);
  const later = server.accept(3);
  later.write(Buffer.alloc(40_000));
  server.turn();
  assert.equal(sentBytes(server), 30_000);
});

test("With an initial window of 0 nothing is sent but ends, until there is window", () => {
  const server = new ServerUnderTest();
  server.send(settings([4, 0]));
  const empty = server.accept(1);
  empty.end();
  server.turn();
  assert.deepEqual(
    server.take(FRAME.DATA).map(({ flags, payload }) => [flags, payload.length]),
    [[FLAG.END_STREAM, 0]],
  );
  const stream = server.accept(3);
  const log = new StreamLog(stream);
  server.turn();
  assert.equal(stream.write(Buffer.from("later")), false);
  server.turn();
  assert.equal(sentBytes(server), 0);
  server.send(frame(FRAME.WINDOW_UPDATE, 0, 3, uint32(5)));
  assert.equal(server.take(FRAME.DATA)[0]?.payload.toString(), "later");
  assert.equal(log.drains, 1);
});

test("Frames are no larger than the peer's SETTINGS_MAX_FRAME_SIZE", () => {
  const server = new ServerUnderTest();
  server.send(Buffer.concat([settings([4, MIB], [5, 50_000]), frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(MIB))]));
  const stream = server.accept(1);
  stream.write(Buffer.alloc(120_000));
  server.turn();
  assert.deepEqual(
    server.take(FRAME.DATA).map(({ payload }) => payload.length),
    [50_000, 50_000, 20_000],
  );
});

test("A channel without room holds data back and not control frames", () => {
  const server = new ServerUnderTest();
  const stream = server.accept(1);
  const log = new StreamLog(stream);
  server.room = 0;
  server.frames.length = 0;
  assert.equal(stream.write(Buffer.from("waits")), false);
  server.send(frame(FRAME.PING, 0, 0, Buffer.alloc(8)));
  assert.deepEqual(
    server.frames.map(({ type }) => type),
    [FRAME.PING],
  );
  assert.equal(log.drains, 0);
  server.room = 1_000;
  assert.equal(server.take(FRAME.DATA)[0]?.payload.toString(), "waits");
  assert.equal(log.drains, 1);
});

test("A stream that is reset while its bytes wait sends none of them, and no end", () => {
  const server = new ServerUnderTest();
  const stream = server.accept(1);
  stream.write(Buffer.alloc(100_000));
  stream.end();
  server.turn();
  server.frames.length = 0;
  stream.reset();
  server.send(frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(MIB)));
  assert.deepEqual(
    server.frames.map(({ type }) => type),
    [FRAME.RST_STREAM],
  );
});

test("We advertise the windows of the reference, and grant in quarters what is consumed", () => {
  const server = new ServerUnderTest();
  assert.equal(granted(server, 0), CONNECTION_WINDOW_BYTES - 65_535);
  const log = new StreamLog(server.accept(1));
  server.turn();
  server.frames.length = 0;
  sendData(server, 1, MIB - 1);
  assert.equal(granted(server, 1), 0);
  sendData(server, 1, 1);
  assert.equal(granted(server, 1), MIB);
  sendData(server, 1, 40 * MIB);
  assert.equal(granted(server, 1), 41 * MIB);
  assert.equal(granted(server, 0), 40 * MIB);
  assert.equal(log.length, 41 * MIB);
  assert.equal(server.closed, false);
});

test("A stream that nobody reads gets no window, and its neighbours do", () => {
  const server = new ServerUnderTest();
  const stalled = server.accept(1);
  const reader = new StreamLog(server.accept(3));
  server.turn();
  server.frames.length = 0;
  sendData(server, 1, STREAM_WINDOW_BYTES);
  assert.equal(granted(server, 1), 0);
  sendData(server, 3, 40 * MIB);
  assert.equal(reader.length, 40 * MIB);
  const late = new StreamLog(stalled);
  server.turn();
  assert.equal(late.length, STREAM_WINDOW_BYTES);
  assert.equal(granted(server, 1), STREAM_WINDOW_BYTES);
});

test("Many streams that nobody reads cannot make us hold more than the session's bound", () => {
  const server = new ServerUnderTest();
  const streams: Http2Stream[] = [];
  for (let id = 1; id <= 99; id += 2) streams.push(server.accept(id));
  let sent = 0;
  let window = CONNECTION_WINDOW_BYTES;
  server.frames.length = 0;
  for (const stream of streams) {
    for (let i = 0; i < 4; i++) {
      if (window < MIB) break;
      sendData(server, stream.id, MIB);
      sent += MIB;
      window += granted(server, 0) - MIB;
      server.frames.length = 0;
    }
  }
  assert.ok(sent <= SESSION_UNCONSUMED_BYTES + CONNECTION_WINDOW_BYTES, `${sent} bytes are held`);
  assert.equal(server.receivedUnconsumed, sent);
  for (const stream of streams) stream.reset();
  server.turn();
  assert.equal(server.receivedUnconsumed, 0);
  assert.ok(granted(server, 0) > 0, "what was dropped gives the connection its window back");
});

test("A peer that sends beyond a window is told so", () => {
  const stream = new ServerUnderTest();
  stream.accept(1);
  sendData(stream, 1, STREAM_WINDOW_BYTES);
  sendData(stream, 1, 1);
  assert.equal(stream.resetCode(1), H2.FLOW_CONTROL_ERROR);
  assert.equal(stream.closed, false);

  const connection = new ServerUnderTest();
  for (let id = 1; id <= 99; id += 2) connection.accept(id);
  for (let id = 1; id <= 99 && !connection.closed; id += 2) sendData(connection, id, STREAM_WINDOW_BYTES);
  assert.equal(connection.goAway, H2.FLOW_CONTROL_ERROR);
});

test("Padding counts against the windows and is given back", () => {
  const server = new ServerUnderTest();
  new StreamLog(server.accept(1));
  server.turn();
  server.frames.length = 0;
  const padded = Buffer.concat([Buffer.from([255]), Buffer.alloc(1), Buffer.alloc(255)]);
  const wire = Buffer.concat(Array.from({ length: 500 }, () => frame(FRAME.DATA, FLAG.PADDED, 1, padded)));
  for (let sent = 0; sent < 9 * MIB; sent += 500 * 257) server.send(wire);
  assert.equal(server.closed, false);
  assert.ok(granted(server, 1) > 7 * MIB);
  assert.ok(granted(server, 0) > 7 * MIB);
});

test("A handler may pause and resume from within onData, and gets every byte once and in order", () => {
  const server = new ServerUnderTest();
  const stream = server.accept(1);
  for (let i = 0; i < 50; i++) server.send(frame(FRAME.DATA, 0, 1, Buffer.from(`${i},`)));
  let text = "";
  let ends = 0;
  stream.handle({
    onData: (chunk) => {
      text += Buffer.from(chunk).toString();
      stream.pause();
      stream.resume();
    },
    onEnd: () => ends++,
    onError: () => assert.fail("onError"),
  });
  server.turn();
  server.send(frame(FRAME.DATA, FLAG.END_STREAM, 1, Buffer.from("end")));
  assert.equal(text, `${Array.from({ length: 50 }, (_, i) => `${i},`).join("")}end`);
  assert.equal(ends, 1);
});

test("A paused handler gets neither bytes nor end until it resumes", () => {
  const server = new ServerUnderTest();
  const stream = server.accept(1);
  const log = new StreamLog(stream);
  server.turn();
  stream.pause();
  server.send(frame(FRAME.DATA, FLAG.END_STREAM, 1, Buffer.from("later")));
  assert.equal(log.text, "");
  assert.equal(log.ended, false);
  stream.resume();
  assert.equal(log.text, "later");
  assert.ok(log.ended);
});

test("Trailers end a stream after the data that waits", () => {
  const server = new ServerUnderTest();
  const stream = server.accept(1);
  stream.write(Buffer.alloc(70_000));
  stream.endWithTrailers([["grpc-status", "0"]]);
  server.turn();
  assert.deepEqual(server.take(FRAME.HEADERS).length, 1);
  server.send(Buffer.concat([frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(MIB)), frame(FRAME.WINDOW_UPDATE, 0, 1, uint32(MIB))]));
  const [trailers] = server.take(FRAME.HEADERS);
  assert.equal(trailers?.flags, FLAG.END_HEADERS | FLAG.END_STREAM);
  assert.equal(server.frames.at(-1)?.type, FRAME.DATA);
});

test("RST_STREAM NO_ERROR after END_STREAM is an end for the reader; before it, and any other code, it is a cut", () => {
  for (const [ended, code, isCut] of [
    [true, H2.NO_ERROR, false],
    [false, H2.NO_ERROR, true],
    [false, H2.CANCEL, true],
    [true, H2.CANCEL, true],
    [false, H2.INTERNAL_ERROR, true],
  ] as const) {
    const client = new ClientUnderTest();
    const seen = client.request();
    client.send(client.headers(1, [[":status", "200"]]));
    const log = new StreamLog(seen.stream ?? assert.fail());
    client.turn();
    client.send(
      Buffer.concat([
        frame(FRAME.DATA, ended ? FLAG.END_STREAM : 0, 1, Buffer.from("x")),
        frame(FRAME.RST_STREAM, 0, 1, uint32(code)),
      ]),
    );
    assert.equal(log.error?.code, isCut ? "ENGINE_TUNNEL_RESET" : undefined, `${ended} ${code}`);
    assert.equal(log.ended, ended);
    assert.equal(client.session.openStreams, 0);
  }
});

test("A write that causes a write to another stream sends its own bytes: a tunnel inside a tunnel", () => {
  const [inner, outer] = [new ServerUnderTest(), new ServerUnderTest()];
  const [innerStream, outerStream] = [inner.accept(1), outer.accept(1)];
  inner.frames.length = 0;
  inner.onWrite = () => outerStream.write(Buffer.alloc(20_000, 9));
  // More than one frame, and more than the window: sent in part from `write`, and in part later from what was kept.
  innerStream.write(Buffer.alloc(200_000, 1));
  inner.turn();
  const widen = [0, 1].map((streamId) => frame(FRAME.WINDOW_UPDATE, 0, streamId, uint32(MIB)));
  inner.send(Buffer.concat(widen));
  const sent = Buffer.concat(inner.take(FRAME.DATA).map(({ payload }) => payload));
  assert.equal(sent.length, 200_000);
  assert.ok(sent.every((byte) => byte === 1));
});
