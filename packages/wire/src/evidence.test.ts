import assert from "node:assert/strict";
import { test } from "node:test";
import { gatherEvidence } from "./evidence.ts";
import { ACK, address, frame, framesOf, SYN, segments, shuffled } from "./frames.testing.ts";
import type { CapturedFrame } from "./frames.ts";
import { parseKeyLog } from "./key-log.ts";
import { CLIENT_ID, SERVER_ID, type TlsConversationOptions, tlsConversation } from "./tls-conversation.testing.ts";

const MARKER = Buffer.from("marker-4f1c0b7a");
const client = address("10.244.1.2:40000");
const server = address("10.244.2.3:15008");

function gather(frames: Iterable<CapturedFrame>, keyLog = "", since = 0) {
  return gatherEvidence(frames, parseKeyLog(keyLog), { marker: MARKER, since });
}

function only(frames: Iterable<CapturedFrame>, keyLog = "") {
  const { connections } = gather(frames, keyLog);
  assert.equal(connections.length, 1);
  const [connection] = connections;
  assert.ok(connection);
  return connection;
}

async function capturedTls(options: Partial<TlsConversationOptions> = {}) {
  const spoken = await tlsConversation({ request: `GET /?q=${MARKER} HTTP/1.1\r\n\r\n`, ...options });
  return { ...spoken, frames: framesOf({ client, server, ...spoken }) };
}

for (const suite of ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]) {
  test(`gatherEvidence() shows TLS 1.3, both identities and no marker when the suite is ${suite}`, async () => {
    const { frames, keyLog, up, down } = await capturedTls({ ciphers: suite });
    const connection = only(frames, keyLog);
    assert.deepEqual(connection, {
      source: client,
      destination: server,
      kind: "tls13",
      notes: [],
      cipherSuite: suite,
      serverName: "payments.shop",
      alpn: "h2",
      clientIdentity: CLIENT_ID,
      serverIdentity: SERVER_ID,
      containsMarker: false,
      hasBeginning: true,
      isWhole: true,
      bytesUp: up.length,
      bytesDown: down.length,
      firstAtMs: 1,
      lastAtMs: 1,
    });
  });
}

test("gatherEvidence() finds the same when segments come small, repeated, overlapping, in any order and with wrapping numbers", async () => {
  const { up, down, keyLog } = await capturedTls();
  for (const [seed, segmentBytes] of [
    [1, 1],
    [2, 7],
    [3, 100],
    [4, 1400],
  ] as const) {
    const sequences = { clientSequence: 0xffff_ff00, serverSequence: 0xffff_fffe };
    const frames = framesOf({ client, server, up, down, segmentBytes, ...sequences });
    const overlapping = segments(up, 3 * segmentBytes).map(([at, payload]) =>
      frame({ from: client, to: server, sequence: sequences.clientSequence + 1 + at, payload }),
    );
    const connection = only(shuffled([...frames, ...frames, ...overlapping], seed), keyLog);
    assert.equal(connection.clientIdentity, CLIENT_ID);
    assert.equal(connection.serverIdentity, SERVER_ID);
    assert.equal(connection.kind, "tls13");
    assert.equal(connection.isWhole, true);
    assert.deepEqual([connection.bytesUp, connection.bytesDown], [up.length, down.length]);
  }
});

test("gatherEvidence() reads IPv6 with extension headers and tagged Ethernet", async () => {
  const { up, keyLog } = await capturedTls();
  const ends = { from: address("[fd00::1]:40000"), to: address("[fd00::2]:15008") };
  const connection = only(
    [
      frame({ ...ends, sequence: 1, flags: SYN, vlan: true }),
      ...segments(up, 500).map(([at, payload]) => frame({ ...ends, sequence: 2 + at, payload, vlan: true })),
    ],
    keyLog,
  );
  assert.equal(connection.source.ip, "fd00::1");
  assert.equal(connection.bytesUp, up.length);
  assert.equal(connection.kind, "unknown");
});

test("gatherEvidence() shows TLS 1.3 without identities when there are no secrets", async () => {
  const { frames } = await capturedTls();
  const connection = only(frames);
  assert.equal(connection.kind, "tls13");
  assert.equal(connection.alpn, undefined);
  assert.equal(connection.clientIdentity, undefined);
  assert.match(connection.notes.join(), /no proxy has given the secrets/);
});

test("gatherEvidence() follows the handshake when the server asks for another key share", async () => {
  const { frames, keyLog, down } = await capturedTls({ clientGroups: "P-256:P-384", serverGroups: "P-384" });
  assert.ok(down.includes(Buffer.from("cf21ad74e59a6111", "hex")), "the server did ask");
  const connection = only(frames, keyLog);
  assert.equal(connection.clientIdentity, CLIENT_ID);
  assert.equal(connection.serverIdentity, SERVER_ID);
});

test("gatherEvidence() names no identity when the certificate is not a SPIFFE one, is absent, or the secret is another's", async () => {
  const twoNames = await capturedTls({ clientUris: [CLIENT_ID, "spiffe://cluster.local/ns/shop/sa/root"] });
  const connection = only(twoNames.frames, twoNames.keyLog);
  assert.equal(connection.clientIdentity, undefined);
  assert.match(connection.notes.join(), /not exactly one SPIFFE ID/);

  const comma = await capturedTls({ clientUris: [`https://x/, URI:${CLIENT_ID}`] });
  assert.equal(only(comma.frames, comma.keyLog).clientIdentity, undefined);

  const anonymous = await capturedTls({ withoutClientCertificate: true });
  const oneSided = only(anonymous.frames, anonymous.keyLog);
  assert.equal(oneSided.serverIdentity, SERVER_ID);
  assert.match(oneSided.notes.join(), /the client showed no certificate/);

  const wrong = twoNames.keyLog.replace(/(_TRAFFIC_SECRET [0-9a-f]+ )[0-9a-f]+/g, (_, head: string) => head + "0".repeat(96));
  assert.equal(only(twoNames.frames, wrong).serverIdentity, undefined);
});

test("gatherEvidence() calls TLS 1.2 another TLS", async () => {
  const { frames, keyLog } = await capturedTls({ version: "TLSv1.2" });
  const connection = only(frames, keyLog);
  assert.equal(connection.kind, "tls-other");
  assert.equal(connection.containsMarker, false);
});

test("gatherEvidence() does not call a connection TLS when plain bytes follow the handshake", async () => {
  const { up, down, keyLog } = await capturedTls();
  const tail = Buffer.concat([up, Buffer.from(`plain ${MARKER}`)]);
  const connection = only(framesOf({ client, server, up: tail, down }), keyLog);
  assert.equal(connection.kind, "plaintext");
  assert.equal(connection.containsMarker, true);
});

test("gatherEvidence() finds the marker in HTTP, also when it is split over segments", () => {
  const up = Buffer.from(`GET /?q=${MARKER} HTTP/1.1\r\nhost: x\r\n\r\n`);
  const down = Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  for (const segmentBytes of [1, 4, 13, 1000]) {
    const connection = only(framesOf({ client, server, up, down, segmentBytes }));
    assert.equal(connection.kind, "plaintext");
    assert.equal(connection.containsMarker, true);
    assert.equal(connection.isWhole, true);
  }
});

test("gatherEvidence() says that bytes are missing, and still searches those it has", () => {
  const up = Buffer.from(`GET /${"x".repeat(2000)}?q=${MARKER} HTTP/1.1\r\n\r\n`);
  const frames = framesOf({ client, server, up, down: Buffer.from("HTTP/1.1 200 OK\r\n\r\n"), segmentBytes: 500 });
  const connection = only(frames.filter((_, i) => i !== 3));
  assert.equal(connection.isWhole, false);
  assert.equal(connection.containsMarker, true);
  assert.match(connection.notes.join(), /not captured/);
});

test("gatherEvidence() finds the marker in a repeated segment with other bytes", () => {
  const payload = Buffer.from("0".repeat(MARKER.length));
  const ends = { from: client, to: server, sequence: 1 };
  const connection = only([
    frame({ ...ends, flags: SYN, sequence: 0 }),
    frame({ ...ends, payload }),
    frame({ ...ends, payload: MARKER }),
  ]);
  assert.equal(connection.containsMarker, true);
});

test("gatherEvidence() takes a new SYN between the same addresses as a new connection", () => {
  const first = framesOf({
    client,
    server,
    up: Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    down: Buffer.from("HTTP/1.1 200 OK\r\n\r\n"),
  });
  const again = framesOf({ client, server, up: MARKER, down: MARKER, clientSequence: 77_000, serverSequence: 99_000 });
  const { connections } = gather([...first, ...first, ...again]);
  assert.deepEqual(
    connections.map(({ containsMarker, bytesUp }) => [containsMarker, bytesUp]),
    [
      [false, 18],
      [true, MARKER.length],
    ],
  );
});

test("gatherEvidence() leaves out what ended before, and looks into frames that carry no TCP", () => {
  const udp = frame({ from: client, to: server, sequence: 0, payload: MARKER }, 50);
  udp.bytes[14 + 9] = 17;
  const before = framesOf({ client, server, up: Buffer.from("GET"), down: Buffer.from("HTTP") });
  const { connections, frames, otherFrames, isMarkerInOtherFrames } = gather([...before, udp], "", 10);
  assert.deepEqual([connections.length, frames, otherFrames, isMarkerInOtherFrames], [0, 5, 1, true]);
});

test("gatherEvidence() takes who opened the connection as its source, whoever was captured first", () => {
  const frames = framesOf({ client: server, server: client, up: Buffer.from("GET"), down: Buffer.from("HTTP") });
  const connection = only([...frames].reverse());
  assert.deepEqual(connection.source, server);
  const midway = only([frame({ from: server, to: client, sequence: 9, flags: ACK, payload: Buffer.from([1, 2, 3, 4, 5, 6]) })]);
  assert.deepEqual(midway.source, client);
  assert.equal(midway.kind, "unknown");
});
