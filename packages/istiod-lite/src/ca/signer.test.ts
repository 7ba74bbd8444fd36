import assert from "node:assert/strict";
import { generateKeyPairSync, type X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ManualClock, silentLogger } from "@ambit/core";
import { certificatesOf } from "@ambit/identity";
import { AuthorityFiles } from "./authority-files.ts";
import { ServingCertificate } from "./serving-certificate.ts";
import { Signer } from "./signer.ts";

const DAY_MS = 86_400_000;
const OVERLAP_MS = 90 * DAY_MS;
const START_MS = Date.parse("2026-01-01T00:00:00Z");

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "ca-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

function signerOf(directory: string, clock = new ManualClock(START_MS)) {
  return new Signer(
    { files: new AuthorityFiles(directory), clock, logger: silentLogger },
    { organization: "cluster.local", overlapMs: OVERLAP_MS },
  );
}

/** Leaf, intermediate and roots of one issued certificate. */
function issue(signer: Signer) {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const chain = signer.issue({ publicKey, names: { uris: ["spiffe://cluster.local/ns/a/sa/b"] }, ttlMs: DAY_MS });
  const [leaf, intermediate] = chain.slice(0, -1).flatMap(certificatesOf);
  assert.ok(leaf && intermediate);
  return { leaf, intermediate, roots: certificatesOf(chain.at(-1) ?? "") };
}

const signerIn = (roots: readonly X509Certificate[], intermediate: X509Certificate) =>
  roots.find((root) => intermediate.verify(root.publicKey))?.fingerprint256;

test("Signer makes an authority, keeps its keys to itself and finds it again", async (t) => {
  const directory = temporaryDirectory(t);
  const first = signerOf(directory);
  await first.refresh();
  for (const file of readdirSync(directory))
    assert.equal(statSync(join(directory, file)).mode & 0o777, file.endsWith("-key.pem") ? 0o600 : 0o644, file);
  const second = signerOf(directory);
  await second.refresh();
  assert.equal(second.rootsPem, first.rootsPem);
  assert.equal(issue(second).intermediate.fingerprint256, issue(first).intermediate.fingerprint256);
});

test("Signer renews its intermediate at half of its life under the same root", async (t) => {
  const clock = new ManualClock(START_MS);
  const signer = signerOf(temporaryDirectory(t), clock);
  await signer.refresh();
  const before = issue(signer);
  let changes = 0;
  signer.onChange(() => changes++);
  clock.advance(182 * DAY_MS);
  await signer.refresh();
  assert.equal(changes, 0);
  clock.advance(2 * DAY_MS);
  await signer.refresh();
  const after = issue(signer);
  assert.notEqual(after.intermediate.fingerprint256, before.intermediate.fingerprint256);
  assert.deepEqual([signerIn(after.roots, after.intermediate), changes], [signerIn(before.roots, before.intermediate), 1]);
});

test("Signer replaces its root with overlap: announced, then signing, then alone", async (t) => {
  const clock = new ManualClock(START_MS);
  const directory = temporaryDirectory(t);
  const signer = signerOf(directory, clock);
  await signer.refresh();
  const old = issue(signer).roots[0];
  assert.ok(old);
  clock.advance(2925 * DAY_MS);
  await signer.refresh();
  const announced = issue(signer);
  assert.equal(announced.roots.length, 2);
  assert.equal(signerIn(announced.roots, announced.intermediate), old.fingerprint256);
  clock.advance(OVERLAP_MS - DAY_MS);
  await signer.refresh();
  assert.equal(signerIn(issue(signer).roots, issue(signer).intermediate), old.fingerprint256);
  clock.advance(2 * DAY_MS);
  // As after a restart: every step goes on from the files.
  const restarted = signerOf(directory, clock);
  await restarted.refresh();
  const switched = issue(restarted);
  assert.equal(switched.roots.length, 2);
  assert.notEqual(signerIn(switched.roots, switched.intermediate), old.fingerprint256);
  assert.equal(
    signerIn(switched.roots, switched.intermediate),
    announced.roots.find(({ fingerprint256 }) => fingerprint256 !== old.fingerprint256)?.fingerprint256,
  );
  clock.advance(3650 * DAY_MS - 2925 * DAY_MS - OVERLAP_MS);
  await restarted.refresh();
  assert.equal(
    issue(restarted).roots.some(({ fingerprint256 }) => fingerprint256 === old.fingerprint256),
    false,
  );
  assert.equal(readFileSync(join(directory, "root-cert.pem"), "utf8"), restarted.rootsPem);
});

/** A plugged-in authority: the files of one that was made elsewhere, without the root's key. */
async function pluggedIn(t: TestContext) {
  const made = temporaryDirectory(t);
  await signerOf(made).refresh();
  const directory = temporaryDirectory(t);
  const copy = (from: string) => {
    for (const file of ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"])
      writeFileSync(join(directory, file), readFileSync(join(from, file)));
  };
  copy(made);
  return { directory, copy };
}

test("Signer takes a plugged-in authority as it is, follows its files, and keeps old roots in the bundle", async (t) => {
  const { directory, copy } = await pluggedIn(t);
  const signer = signerOf(directory);
  await signer.refresh();
  const before = issue(signer);
  assert.deepEqual(readdirSync(directory).sort(), ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"]);
  const other = await pluggedIn(t);
  copy(other.directory);
  await signer.refresh();
  const after = issue(signer);
  assert.equal(after.roots.length, 2);
  assert.notEqual(signerIn(after.roots, after.intermediate), signerIn(before.roots, before.intermediate));
  assert.ok(after.roots.some(({ fingerprint256 }) => fingerprint256 === before.roots[0]?.fingerprint256));
});

test("Signer refuses authorities that could not sign, and keeps the last good one", async (t) => {
  const { directory } = await pluggedIn(t);
  const signer = signerOf(directory);
  await signer.refresh();
  const roots = signer.rootsPem;
  const other = await pluggedIn(t);
  const breakWith = async (file: string, content: string | Buffer, message: RegExp) => {
    const good = readFileSync(join(directory, file));
    writeFileSync(join(directory, file), content);
    await assert.rejects(signer.refresh(), { code: "ISTIOD_CA_UNUSABLE", message });
    assert.equal(signer.rootsPem, roots);
    writeFileSync(join(directory, file), good);
  };
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ type: "pkcs8", format: "pem" });
  await breakWith("ca-key.pem", readFileSync(join(other.directory, "ca-key.pem")), /is not the key of ca-cert.pem/);
  await breakWith("ca-key.pem", rsa, /not an elliptic-curve key/);
  await breakWith("ca-cert.pem", "nonsense", /holds no certificate/);
  await breakWith("root-cert.pem", readFileSync(join(other.directory, "root-cert.pem")), /does not end at a root/);
  rmSync(join(directory, "root-cert.pem"));
  await assert.rejects(signer.refresh(), /must hold ca-cert.pem, ca-key.pem and root-cert.pem/);
});

test("Signer does not make a root next to a certificate that has lost its key", async (t) => {
  const { directory } = await pluggedIn(t);
  rmSync(join(directory, "ca-key.pem"));
  await assert.rejects(signerOf(directory).refresh(), /holds a part of a certificate authority/);
});

test("Signer backdates by two minutes, and short lives by a tenth of them", async (t) => {
  const signer = signerOf(temporaryDirectory(t));
  await signer.refresh();
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const startOf = (ttlMs: number) => {
    const [leaf] = certificatesOf(signer.issue({ publicKey, names: { dnsNames: ["x"] }, ttlMs })[0] ?? "");
    return Date.parse(leaf?.validFrom ?? "") - START_MS;
  };
  assert.deepEqual([startOf(DAY_MS), startOf(60_000)], [-120_000, -6_000]);
});

test("ServingCertificate is renewed at half of its life, and when the authority changes", async (t) => {
  const clock = new ManualClock(START_MS);
  const signer = signerOf(temporaryDirectory(t), clock);
  await signer.refresh();
  const stop = new AbortController();
  const serving = new ServingCertificate(
    { signer, clock, logger: silentLogger },
    { serverNames: ["istiod.istio-system.svc", "127.0.0.1"], ttlMs: DAY_MS },
  );
  const renewed: string[] = [];
  const { cert } = serving.start((credentials) => renewed.push(credentials.cert), stop.signal);
  const [leaf] = certificatesOf(cert);
  assert.equal(leaf?.subjectAltName, "DNS:istiod.istio-system.svc, IP Address:127.0.0.1");
  clock.advance(DAY_MS / 2 - 300_000);
  assert.equal(renewed.length, 0);
  clock.advance(300_000);
  assert.equal(renewed.length, 1);
  clock.advance(DAY_MS / 2);
  assert.equal(renewed.length, 2);
  stop.abort();
  clock.advance(DAY_MS);
  assert.equal(renewed.length, 2);
});
