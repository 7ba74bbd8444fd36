import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import test from "node:test";
import { createTestAuthority, issueTestCertificates } from "./certificates.ts";

test("issueTestCertificates() gives leaves of one root that carry the SPIFFE IDs", () => {
  const ids = ["spiffe://cluster.local/ns/a/sa/x", "spiffe://cluster.local/ns/b/sa/y"];
  const issued = issueTestCertificates(...ids);
  assert.equal(issued.length, 2);
  for (const [i, credentials] of issued.entries()) {
    const leaf = new X509Certificate(credentials.certChain);
    const root = new X509Certificate(credentials.roots);
    assert.equal(leaf.subjectAltName, `URI:${ids[i]}`);
    assert.equal(leaf.checkIssued(root), true);
    assert.equal(leaf.verify(root.publicKey), true);
    assert.deepEqual(leaf.keyUsage, ["1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1"]);
  }
});

test("createTestAuthority() issues the validity that was asked for", () => {
  const leaf = new X509Certificate(
    createTestAuthority().issue({ notBeforeMs: 1_000_000_000_000, notAfterMs: 1_100_000_000_000 }).certChain,
  );
  assert.deepEqual([leaf.validFromDate.getTime(), leaf.validToDate.getTime()], [1_000_000_000_000, 1_100_000_000_000]);
});
