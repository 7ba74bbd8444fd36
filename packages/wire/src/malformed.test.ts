import assert from "node:assert/strict";
import { test } from "node:test";
import { brotliCompressSync, deflateSync, zstdCompressSync } from "node:zlib";
import { decompressCertificate } from "./compressed-certificate.ts";
import { gatherEvidence } from "./evidence.ts";
import { address, frame, framesOf, shuffled } from "./frames.testing.ts";
import { parseFrame } from "./frames.ts";
import { MessageBuffer, parseCertificate, parseClientHello, parseServerHello } from "./handshake-messages.ts";
import { parseKeyLog } from "./key-log.ts";
import { MarkerSearch } from "./marker-search.ts";
import { TcpDirection } from "./tcp-direction.ts";
import { tlsConversation } from "./tls-conversation.testing.ts";
import { RecordWatch, readRecords } from "./tls-records.ts";

const client = address("10.0.0.1:1");
const server = address("10.0.0.2:2");
const MARKER = Buffer.from("needle");

test("parseFrame() gives nothing for any beginning of a frame's headers", () => {
  const { bytes } = frame({ from: client, to: server, sequence: 1, payload: Buffer.from("abc") });
  for (let length = 0; length < 14 + 20 + 24; length++) assert.equal(parseFrame(bytes.subarray(0, length)), undefined);
  const cut = parseFrame(bytes.subarray(0, 14 + 20 + 24 + 1));
  assert.deepEqual([cut?.isCut, cut?.payload.length], [true, 1]);
  assert.equal(Buffer.from(parseFrame(bytes)?.payload ?? []).toString(), "abc", "padding is not payload");
});

test("parseFrame() gives nothing for fragments and for lengths that lie", () => {
  const change = (offset: number, value: number) => {
    const { bytes } = frame({ from: client, to: server, sequence: 1 });
    bytes[offset] = value;
    return parseFrame(bytes);
  };
  assert.equal(change(14 + 6, 0x20), undefined, "more fragments");
  assert.equal(change(14 + 7, 1), undefined, "later fragment");
  assert.equal(change(14, 0x4f), undefined, "header longer than the packet");
  assert.equal(change(14, 0x41), undefined, "header too short");
  assert.equal(change(14 + 20 + 12, 0xf0), undefined, "TCP header longer than the segment");
});

test("gatherEvidence() survives every damaged byte and every lost end of a real handshake", async () => {
  const { up, down, keyLog } = await tlsConversation({ request: "hello" });
  const secrets = parseKeyLog(keyLog);
  const gather = (streams: { up: Buffer; down: Buffer }) =>
    gatherEvidence(framesOf({ client, server, ...streams }), secrets, { marker: MARKER, since: 0 }).connections[0];
  for (let i = 0; i < 2500; i += 13) {
    const damaged = Buffer.from(down);
    damaged[i % down.length] = (damaged[i % down.length] ?? 0) ^ 0x41;
    const judged = gather({ up, down: damaged });
    // Whatever is damaged in the handshake, nothing false is proven.
    if (judged?.serverIdentity !== undefined) assert.match(judged.serverIdentity, /payments$/);
    gather({ up: up.subarray(0, i % up.length), down: down.subarray(0, i % down.length) });
  }
});

test("parseKeyLog() takes handshake secrets only", () => {
  const random = "ab".repeat(32);
  const secret = "cd".repeat(48);
  const secrets = parseKeyLog(
    [
      "# a comment",
      `CLIENT_TRAFFIC_SECRET_0 ${random} ${secret}`,
      `EXPORTER_SECRET ${random} ${secret}`,
      `SERVER_HANDSHAKE_TRAFFIC_SECRET ${random.toUpperCase()} ${secret}`,
      `CLIENT_HANDSHAKE_TRAFFIC_SECRET ${random} short`,
    ].join("\r\n"),
  );
  assert.equal(secrets.size, 1);
  assert.equal(secrets.get(random)?.client, undefined);
  assert.equal(secrets.get(random)?.server?.length, 48);
});

test("handshake parsers give nothing for truncated messages", () => {
  for (let length = 0; length < 36; length++) {
    assert.equal(parseClientHello(new Uint8Array(length)), undefined);
    assert.equal(parseServerHello(new Uint8Array(length)), undefined);
  }
  assert.equal(parseCertificate(Buffer.from([0, 0, 0, 9, 0, 0, 6])), undefined);
  assert.deepEqual(new MessageBuffer().push(Buffer.from([11, 0xff, 0xff, 0xff, 1])), []);
});

test("decompressCertificate() unpacks every algorithm of RFC 8879 and nothing that claims another length", () => {
  const body = Buffer.from("certificate ".repeat(50));
  const message = (algorithm: number, packed: Buffer, claimed = body.length) => {
    const head = Buffer.alloc(8);
    head.writeUInt16BE(algorithm, 0);
    head.writeUIntBE(claimed, 2, 3);
    head.writeUIntBE(packed.length, 5, 3);
    return Buffer.concat([head, packed]);
  };
  for (const [algorithm, packed] of [
    [1, deflateSync(body)],
    [2, brotliCompressSync(body)],
    [3, zstdCompressSync(body)],
  ] as const) {
    assert.deepEqual(Buffer.from(decompressCertificate(message(algorithm, packed)) ?? []), body);
    for (const claimed of [0, body.length - 1, body.length + 1, 0xff_ffff]) {
      assert.equal(decompressCertificate(message(algorithm, packed, claimed)), undefined);
    }
    assert.equal(decompressCertificate(message(algorithm, packed).subarray(0, -1)), undefined);
    assert.equal(decompressCertificate(message(algorithm, Buffer.from(packed).fill(7))), undefined);
  }
  assert.equal(decompressCertificate(message(4, body)), undefined);
});

test("records end before the first thing that is none", () => {
  const record = Buffer.from("16030100021122", "hex");
  assert.equal(readRecords(Buffer.concat([record, record, Buffer.from("GET / HTTP")])).length, 2);
  const watch = new RecordWatch();
  for (const byte of Buffer.concat([record, record])) watch.push(Buffer.from([byte]));
  assert.deepEqual([watch.isRecords, watch.records], [true, 2]);
  watch.push(Buffer.from("GET /"));
  assert.equal(watch.isRecords, false);
});

test("MarkerSearch finds a marker over many pieces and no marker in others", () => {
  for (const size of [1, 2, 3, 5, 50]) {
    const haystack = Buffer.from("nee need need needle dle");
    const search = new MarkerSearch(MARKER);
    for (let at = 0; at < haystack.length; at += size) search.push(haystack.subarray(at, at + size));
    assert.equal(search.found, true);
    const other = new MarkerSearch(MARKER);
    for (const piece of ["nee", "dl", "neeedle", "nee", "", "dl"]) other.push(Buffer.from(piece));
    assert.equal(other.found, false);
  }
  const none = new MarkerSearch(Buffer.alloc(0));
  none.push(MARKER);
  assert.equal(none.found, false);
});

test("TcpDirection delivers every stream once and in order, and bounds what waits", () => {
  const stream = Buffer.from(Array.from({ length: 4000 }, (_, i) => i & 0xff));
  for (let seed = 1; seed <= 30; seed++) {
    const received: Uint8Array[] = [];
    const direction = new TcpDirection((bytes) => received.push(bytes));
    const start = 0xffff_f800;
    const pieces = [];
    for (let at = 0; at < stream.length; at += 37) pieces.push({ at, bytes: stream.subarray(at, at + 37 + (seed % 5) * 20) });
    const order = shuffled([...pieces, ...pieces], seed);
    for (const [i, { at, bytes }] of order.entries()) {
      if (i === seed) direction.syn(start - 1);
      direction.segment((start + at) >>> 0, bytes);
    }
    assert.deepEqual(Buffer.concat(received), stream);
    assert.equal(direction.isWhole, true);
  }
  const received: Uint8Array[] = [];
  const bounded = new TcpDirection((bytes) => received.push(bytes), 100);
  bounded.syn(0);
  for (let at = 50; at < 450; at += 10) bounded.segment(1 + at, stream.subarray(at, at + 10));
  assert.ok(Buffer.concat(received).length >= 300, "it does not wait for ever");
  assert.equal(bounded.isWhole, false);
});
