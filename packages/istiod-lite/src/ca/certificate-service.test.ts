import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import type { SecureClientSessionOptions } from "node:http2";
import { test } from "node:test";
import { IstioCertificateService } from "@ambit/api";
import type { SpiffeId } from "@ambit/core";
import { certificatesOf, createSigningRequest, uriNames } from "@ambit/identity";
import { createTestAuthority } from "@ambit/testkit";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type ControlPlane, nodeProxy, startControlPlane } from "../testing/control-plane.ts";
import { MemorySource } from "../testing/memory-source.ts";
import { pod } from "../testing/objects.ts";
import { TokenIssuer } from "../testing/tokens.ts";

const id = (serviceAccount: string, namespace = "bookinfo", trustDomain = "cluster.local") =>
  `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}` as SpiffeId;
const signal = new AbortController().signal;
const BOUND = { pod: { name: "zt", uid: "zt-uid" } };
const refused = (message: RegExp) => ({ code: "IDENTITY_CA_REFUSED", message });

function objects() {
  const source = new MemorySource();
  source.put(
    nodeProxy,
    pod("here", { ip: "10.0.0.1" }),
    pod("there", { node: "n2", ip: "10.0.0.2" }),
    pod("ended", { phase: "Failed" }),
    pod("zt-other", { namespace: "ambit-system", serviceAccount: "ztunnel", uid: "other-uid", node: "n2" }),
  );
  return source;
}

test("CertificateService signs for pods of the caller's node, with intermediate and roots", async (t) => {
  const plane = await startControlPlane(t, { source: objects() });
  const svid = await plane.caClient().fetch(id("here"), signal);
  const [leaf, intermediate] = certificatesOf(svid.certChain);
  const [root] = certificatesOf(svid.roots);
  assert.ok(leaf && intermediate && root);
  assert.deepEqual(uriNames(leaf), [id("here")]);
  assert.ok(leaf.verify(intermediate.publicKey) && intermediate.verify(root.publicKey) && !leaf.ca && intermediate.ca);
  assert.equal(svid.notAfterMs - svid.notBeforeMs, 3_600_000 + 120_000);
});

test("CertificateService refuses identities that no pod of the caller's node has", async (t) => {
  const source = objects();
  const plane = await startControlPlane(t, { source });
  const client = plane.caClient();
  await assert.rejects(client.fetch(id("there"), signal), refused(/no pod of that service account runs on node n1/));
  await assert.rejects(client.fetch(id("ended"), signal), refused(/no pod of that service account/));
  await assert.rejects(client.fetch(id("here", "other"), signal), refused(/no pod of that service account/));
  await assert.rejects(client.fetch(id("here", "bookinfo", "elsewhere.org"), signal), refused(/trust domain is cluster.local/));
  source.remove("Pod", "bookinfo", "here");
  await assert.rejects(client.fetch(id("here"), signal), refused(/no pod of that service account/));
});

test("CertificateService refuses node proxies whose own pod is gone, replaced, or not in the token", async (t) => {
  const source = objects();
  const plane = await startControlPlane(t, { source });
  const fetchWith = (claims: Parameters<typeof plane.writeToken>[0]) =>
    plane.caClient(plane.writeToken(claims)).fetch(id("here"), signal);
  await assert.rejects(
    fetchWith({ pod: { name: "zt", uid: "an-older-uid" } }),
    refused(/pod zt with uid an-older-uid does not exist/),
  );
  await assert.rejects(fetchWith({ pod: { name: "zt-other", uid: "other-uid" } }), refused(/runs on node n2/));
  await assert.rejects(fetchWith({ pod: { name: "nobody", uid: "zt-uid" } }), refused(/does not exist/));
  await assert.rejects(fetchWith({}), refused(/name no pod/));
  source.remove("Pod", "ambit-system", "zt");
  await assert.rejects(fetchWith(BOUND), refused(/pod zt with uid zt-uid does not exist/));
});

test("CertificateService gives other accounts their own identity and nothing else", async (t) => {
  const plane = await startControlPlane(t, { source: objects() });
  const token = plane.writeToken({ namespace: "bookinfo", serviceAccount: "here" });
  assert.equal((await plane.caClient(token).fetch(id("here"), signal)).identity, id("here"));
  await assert.rejects(plane.caClient(token).fetch(id("there"), signal), refused(/not a trusted node account/));
});

test("CertificateService refuses callers without good credentials", async (t) => {
  const plane = await startControlPlane(t, {
    source: objects(),
    environment: { TOKEN_ISSUER: "https://kubernetes.default.svc" },
  });
  const fetchWith = (claims: Parameters<typeof plane.writeToken>[0], by?: TokenIssuer) =>
    plane.caClient(plane.writeToken(claims, by)).fetch(id("here"), signal);
  await assert.rejects(
    fetchWith({ ...BOUND, audience: ["vault", "kubernetes"] }),
    refused(/is for audience vault, kubernetes, not istio-ca/),
  );
  await assert.rejects(fetchWith({ ...BOUND, expiresInSeconds: -1 }), refused(/expired at/));
  await assert.rejects(fetchWith({ ...BOUND, notBeforeInSeconds: 600 }), refused(/is valid from/));
  await assert.rejects(fetchWith({ ...BOUND, issuer: "https://elsewhere" }), refused(/issued by https:\/\/elsewhere/));
  await assert.rejects(fetchWith(BOUND, new TokenIssuer()), refused(/is not signed by a key/));
  const [header, , signature] = plane.issuer.token(BOUND).split(".");
  const forged = `${header}.${plane.issuer.token({ serviceAccount: "admin" }).split(".")[1]}.${signature}`;
  const none = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${forged.split(".")[1]}.eA`;
  for (const [text, message] of [
    [forged, /is not signed by a key/],
    [none, /header that cannot be read/],
    ["abc", /is not a signed JSON Web Token/],
  ] as const) {
    const file = plane.writeToken();
    writeFileSync(file, text);
    await assert.rejects(plane.caClient(file).fetch(id("here"), signal), refused(message));
  }
  assert.match((await plane.page("/metrics")).text, /citadel_server_authentication_failure_count 8/);
});

test("CertificateService takes new token keys from the file, and keeps the old ones while it is unreadable", async (t) => {
  const plane = await startControlPlane(t, { source: objects() });
  const next = new TokenIssuer("k2");
  await assert.rejects(plane.caClient(plane.writeToken(BOUND, next)).fetch(id("here"), signal), refused(/not signed/));
  writeFileSync(plane.keysFile, "{");
  await plane.caClient().fetch(id("here"), signal);
  writeFileSync(plane.keysFile, next.keySet);
  await plane.caClient(plane.writeToken(BOUND, next)).fetch(id("here"), signal);
  await assert.rejects(plane.caClient().fetch(id("here"), signal), refused(/not signed/));
});

test("CertificateService refuses lifetimes beyond the maximum and cuts those beyond the signer's own", async (t) => {
  const plane = await startControlPlane(t, { source: objects(), environment: { MAX_WORKLOAD_CERT_TTL: "17520h" } });
  const day = 86_400_000;
  await assert.rejects(plane.caClient(undefined, 731 * day).fetch(id("here"), signal), { code: "IDENTITY_CA_REFUSED" });
  const svid = await plane.caClient(plane.writeToken(), 700 * day).fetch(id("here"), signal);
  const [, intermediate] = certificatesOf(svid.certChain);
  assert.equal(svid.notAfterMs, Date.parse(intermediate?.validTo ?? ""));
});

/** A call as any client could make it. */
function callerOf(plane: ControlPlane, nodeOptions: SecureClientSessionOptions = {}) {
  const ca = readFileSync(plane.rootCertFile, "utf8");
  const client = createClient(
    IstioCertificateService,
    createGrpcTransport({ baseUrl: plane.address, nodeOptions: { ca, ...nodeOptions } }),
  );
  return async (csrFor: SpiffeId, { token, ...metadata }: { token?: string; ImpersonatedIdentity?: string } = {}) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const { certChain } = await client.createCertificate({ csr: createSigningRequest(csrFor).csrPem, metadata }, { headers });
    return uriNames(new X509Certificate(certChain[0] ?? ""));
  };
}

test("CertificateService ignores the names in the request: the identity is the caller's", async (t) => {
  const plane = await startControlPlane(t, { source: objects() });
  const token = plane.issuer.token({ namespace: "bookinfo", serviceAccount: "here" });
  assert.deepEqual(await callerOf(plane)(id("there"), { token }), [id("here")]);
  await assert.rejects(callerOf(plane)(id("here")), /Neither a client certificate nor a bearer token/);
});

test("CertificateService takes a client certificate of the mesh for its own identity only", async (t) => {
  const plane = await startControlPlane(t, { source: objects() });
  const { certChain: cert, privateKey: key } = await plane.caClient().fetch(id("here"), signal);
  const call = callerOf(plane, { cert, key });
  assert.deepEqual(await call(id("here")), [id("here")]);
  await assert.rejects(call(id("there"), { ImpersonatedIdentity: id("there") }), /not a trusted node account/);
});

test("CertificateService refuses a client certificate of another authority, even next to a good token", async (t) => {
  const plane = await startControlPlane(t, { source: objects() });
  const { certChain: cert, privateKey: key } = createTestAuthority().issue({ uris: [id("here")] });
  const token = plane.issuer.token(BOUND);
  await assert.rejects(callerOf(plane, { cert, key })(id("here"), { token }), /is not signed by this mesh's authority/);
});

test("CertificateService's port takes no more than a signing request from callers that it does not know", async (t) => {
  const plane = await startControlPlane(t, { source: objects() });
  const ca = readFileSync(plane.rootCertFile, "utf8");
  const client = createClient(IstioCertificateService, createGrpcTransport({ baseUrl: plane.address, nodeOptions: { ca } }));
  await assert.rejects(client.createCertificate({ csr: "x".repeat(100_000) }), { code: Code.ResourceExhausted });
});
