import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { hasCode } from "@ambit/core";
import { rootSource, tokenSource } from "./credential-sources.ts";

test("tokenSource() reads its file anew each time and trims it", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "ambit-token-"));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "token");
  const read = tokenSource(path);
  await assert.rejects(read(), (error) => hasCode(error, "DISCOVERY_CREDENTIALS_UNREADABLE") && error.message.includes(path));
  await writeFile(path, "one\n");
  assert.equal(await read(), "one");
  await writeFile(path, "two");
  assert.equal(await read(), "two");
});

test("tokenSource() takes other text as the token, and nothing as none", async () => {
  assert.equal(await tokenSource("abc.def")(), "abc.def");
  assert.equal(await tokenSource("")(), undefined);
  assert.equal(await tokenSource(undefined)(), undefined);
});

test("rootSource() takes PEM text, a file, or the machine's roots", async (t) => {
  const pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
  assert.deepEqual(await rootSource(pem)(), [pem]);
  const folder = await mkdtemp(join(tmpdir(), "ambit-root-"));
  t.after(() => rm(folder, { recursive: true }));
  const read = rootSource(join(folder, "root.pem"));
  await assert.rejects(read(), (error) => hasCode(error, "DISCOVERY_CREDENTIALS_UNREADABLE"));
  await writeFile(join(folder, "root.pem"), pem);
  assert.deepEqual(await read(), [pem]);
  assert.ok(Array.isArray(await rootSource("SYSTEM")()));
});
