import assert from "node:assert/strict";
import { test } from "node:test";
import type { PeerCertificate } from "@ambit/engine/internal";
import { CLIENT, SERVER, spiffe } from "./rig.testing.ts";
import { verifyClient, verifyServer } from "./verify-peer.ts";

const OTHER = spiffe("spiffe://cluster.local/ns/b/sa/other");

function peer(...uris: string[]): PeerCertificate {
  return { uris, notAfterMs: 0, serial: "01", chain: () => [] };
}

test("verifyServer() takes one of the expected identities, whichever of the certificate's it is", () => {
  for (const uris of [[SERVER], ["https://example.com", SERVER], [OTHER, SERVER]]) {
    assert.deepEqual(verifyServer(peer(...uris), [CLIENT, SERVER]), { kind: "verified", identity: SERVER });
  }
});

test("verifyServer() refuses any other identity, near misses, and an empty expectation", () => {
  for (const uri of [
    OTHER,
    "spiffe://cluster.local/ns/b/sa/serve",
    "spiffe://cluster.local/ns/b/sa/server/",
    "spiffe://cluster.local/ns/b/sa/server/x",
    "spiffe://cluster.local.evil/ns/b/sa/server",
    "spiffe://evil/ns/b/sa/server",
    "spiffe://cluster.local/ns/b/sa/server?x",
    "https://cluster.local/ns/b/sa/server",
    "",
  ]) {
    const verdict = verifyServer(peer(uri), [SERVER]);
    assert.equal(verdict.kind === "refused" && verdict.error.code, "HBONE_PEER_UNVERIFIED", uri);
  }
  assert.equal(verifyServer(peer(), [SERVER]).kind, "refused");
  const empty = verifyServer(peer(SERVER), []);
  assert.match(empty.kind === "refused" ? empty.error.message : "", /No identity is expected/);
  const wrong = verifyServer(peer(OTHER), [SERVER, CLIENT]);
  assert.match(wrong.kind === "refused" ? wrong.error.message : "", /proved .*other, expected .*server or .*client/);
});

test("verifyClient() takes any workload of our own trust domain and no other", () => {
  assert.deepEqual(verifyClient(peer(CLIENT), SERVER), { kind: "verified", identity: CLIENT });
  assert.deepEqual(verifyClient(peer("https://x", CLIENT), SERVER), { kind: "verified", identity: CLIENT });
  for (const uris of [
    ["spiffe://other.example/ns/a/sa/client"],
    ["spiffe://cluster.local.evil/ns/a/sa/client"],
    ["spiffe://CLUSTER.LOCAL/ns/a/sa/client"],
    ["spiffe://cluster.local/ns/a"],
    ["https://cluster.local/ns/a/sa/client"],
    [],
  ]) {
    const verdict = verifyClient(peer(...uris), SERVER);
    assert.equal(verdict.kind === "refused" && verdict.error.code, "HBONE_PEER_UNVERIFIED", uris.join());
  }
});
