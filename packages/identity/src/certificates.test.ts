import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { type SpiffeId, spiffeId } from "@ambit/core";
import { checkSigningRequest, createSigningRequest } from "./csr.ts";
import { issueCertificate, issueRoot } from "./issue-certificate.ts";
import { svidFromReply, uriNames } from "./svid.ts";

const HOUR_MS = 3_600_000;
const REVIEWS = spiffeId({ trustDomain: "cluster.local", namespace: "bookinfo", serviceAccount: "reviews" });
const RATINGS = spiffeId({ trustDomain: "cluster.local", namespace: "bookinfo", serviceAccount: "ratings" });

function authority() {
  const now = Date.now();
  const times = { notBeforeMs: now - HOUR_MS, notAfterMs: now + 100 * HOUR_MS };
  const rootKeys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const rootPem = issueRoot({ organization: "ambit root", ...times }, rootKeys.publicKey, rootKeys.privateKey);
  const keys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const issuerOfIntermediate = { certificatePem: rootPem, privateKey: rootKeys.privateKey };
  const intermediatePem = issueCertificate(
    { organization: "ambit intermediate", isCa: true, ...times },
    keys.publicKey,
    issuerOfIntermediate,
  );
  const sign = (identity: SpiffeId, csrPem: string, lifetimeMs = HOUR_MS) => {
    const { publicKey } = checkSigningRequest(csrPem);
    const template = { names: { uris: [identity] }, isCa: false, notBeforeMs: now - 120_000, notAfterMs: now + lifetimeMs };
    return [
      issueCertificate(template, publicKey, { certificatePem: intermediatePem, privateKey: keys.privateKey }),
      intermediatePem,
      rootPem,
    ];
  };
  return { rootPem, intermediatePem, sign };
}

test("checkSigningRequest() gives key and URI names of a request from createSigningRequest()", () => {
  const { csrPem } = createSigningRequest(REVIEWS);
  assert.deepEqual(checkSigningRequest(csrPem).uris, [REVIEWS]);
});

test("createSigningRequest() writes what openssl reads: empty subject, one critical URI name, a valid signature", () => {
  const text = execFileSync("openssl", ["req", "-noout", "-text", "-verify"], {
    input: createSigningRequest(REVIEWS).csrPem,
    encoding: "utf8",
    stdio: ["pipe", "pipe", "pipe"],
  });
  assert.match(text, /X509v3 Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster\.local\/ns\/bookinfo\/sa\/reviews/);
  assert.match(text, /Subject:\s*\n/);
});

test("checkSigningRequest() refuses a request that was changed after signing, and text that is none", () => {
  const { csrPem } = createSigningRequest(REVIEWS);
  const der = Buffer.from(csrPem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
  der[der.indexOf("reviews")] = 0x52;
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
  assert.throws(() => checkSigningRequest(forged), /not signed by the key/);
  assert.throws(() => checkSigningRequest("hello"), { code: "IDENTITY_CSR_INVALID" });
  assert.throws(() => checkSigningRequest("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"), {
    code: "IDENTITY_CSR_INVALID",
  });
});

test("issueCertificate() makes a chain that openssl verifies for client and server use", () => {
  const { sign, rootPem, intermediatePem } = authority();
  const directory = mkdtempSync(join(tmpdir(), "identity-"));
  const [leaf = ""] = sign(REVIEWS, createSigningRequest(REVIEWS).csrPem);
  for (const [name, pem] of Object.entries({ leaf, root: rootPem, intermediate: intermediatePem }))
    writeFileSync(join(directory, `${name}.pem`), pem);
  for (const purpose of ["sslclient", "sslserver"]) {
    const args = [
      "verify",
      "-x509_strict",
      "-purpose",
      purpose,
      "-CAfile",
      "root.pem",
      "-untrusted",
      "intermediate.pem",
      "leaf.pem",
    ];
    assert.match(execFileSync("openssl", args, { cwd: directory, encoding: "utf8" }), /leaf\.pem: OK/);
  }
});

test("issueCertificate() cuts the lifetime to the issuer's", () => {
  const { sign, intermediatePem } = authority();
  const [leaf = ""] = sign(REVIEWS, createSigningRequest(REVIEWS).csrPem, 10_000 * HOUR_MS);
  assert.equal(new X509Certificate(leaf).validTo, new X509Certificate(intermediatePem).validTo);
});

test("svidFromReply() takes leaf, intermediates and roots apart", () => {
  const { sign, rootPem } = authority();
  const { csrPem, privateKeyPem } = createSigningRequest(REVIEWS);
  const svid = svidFromReply(REVIEWS, privateKeyPem, sign(REVIEWS, csrPem));
  assert.equal(svid.roots, rootPem);
  assert.equal(svid.certChain.match(/BEGIN CERTIFICATE/g)?.length, 2);
  assert.deepEqual(uriNames(new X509Certificate(svid.certChain)), [REVIEWS]);
});

test("svidFromReply() refuses another identity, another key, another root, and an answer without roots", () => {
  const { sign } = authority();
  const { csrPem, privateKeyPem } = createSigningRequest(REVIEWS);
  const reply = sign(REVIEWS, csrPem);
  const refused = (identity: SpiffeId, key: string, chain: readonly string[], message: RegExp) =>
    assert.throws(
      () => svidFromReply(identity, key, chain),
      (error: Error) => {
        assert.match(error.message, message);
        return true;
      },
    );
  refused(RATINGS, privateKeyPem, reply, /the leaf is for spiffe/);
  refused(REVIEWS, createSigningRequest(REVIEWS).privateKeyPem, reply, /another key/);
  refused(REVIEWS, privateKeyPem, [...reply.slice(0, -1), authority().rootPem], /does not end at one of the roots/);
  refused(REVIEWS, privateKeyPem, reply.slice(0, 1), /has 1 elements/);
  refused(REVIEWS, privateKeyPem, [reply[0] ?? "", reply[2] ?? ""], /does not end/);
});

test("two issued certificates complete a mutual TLS 1.3 handshake", async (t) => {
  const { sign } = authority();
  const credentials = (identity: SpiffeId) => {
    const { csrPem, privateKeyPem } = createSigningRequest(identity);
    const { certChain, privateKey, roots } = svidFromReply(identity, privateKeyPem, sign(identity, csrPem));
    createPrivateKey(privateKey);
    return { cert: certChain, key: privateKey, ca: roots, minVersion: "TLSv1.3" as const };
  };
  const server = createServer({ ...credentials(RATINGS), requestCert: true, rejectUnauthorized: true });
  t.after(() => server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "secureConnection") as Promise<[TLSSocket]>;
  const client = connect({
    ...credentials(REVIEWS),
    port: (server.address() as AddressInfo).port,
    host: "127.0.0.1",
    checkServerIdentity: () => undefined,
  });
  t.after(() => client.destroy());
  const [socket] = await accepted;
  assert.equal(socket.authorized, true);
  assert.equal(socket.getPeerCertificate().subjectaltname, `URI:${REVIEWS}`);
  socket.destroy();
});
