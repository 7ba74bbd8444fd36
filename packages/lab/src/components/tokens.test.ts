import assert from "node:assert/strict";
import { createPublicKey, type JsonWebKeyInput, verify } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TokenIssuer } from "./tokens.ts";

test("renew() writes a token that the published key verifies, bound to pod and node", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "tokens-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const issuer = new TokenIssuer(directory);
  await issuer.publish();
  const subject = { namespace: "ambit-system", serviceAccount: "ztunnel", pod: { name: "ztunnel-x", uid: "u" }, node: "node-a" };
  const file = await issuer.renew(subject, 1_000_000);
  const [header = "", claims = "", signature = ""] = readFileSync(file, "utf8").split(".");
  const { keys } = JSON.parse(readFileSync(issuer.keysFile, "utf8")) as {
    keys: [JsonWebKeyInput["key"] & { readonly d?: string }];
  };
  assert.equal(keys[0].d, undefined);
  const key = createPublicKey({ key: keys[0], format: "jwk" });
  const isSigned = verify(
    "sha256",
    Buffer.from(`${header}.${claims}`),
    { key, dsaEncoding: "ieee-p1363" },
    Buffer.from(signature, "base64url"),
  );
  assert.equal(isSigned, true);
  const said = JSON.parse(Buffer.from(claims, "base64url").toString()) as Record<string, unknown>;
  assert.equal(said["sub"], "system:serviceaccount:ambit-system:ztunnel");
  assert.deepEqual([said["aud"], said["exp"]], [["istio-ca"], 4600]);
  assert.deepEqual((said["kubernetes.io"] as { pod: unknown }).pod, subject.pod);
});
