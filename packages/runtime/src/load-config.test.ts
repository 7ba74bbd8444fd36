import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { configTypes, describeConfig, loadConfig, parseDurationMs, printableConfig } from "./load-config.ts";

const spec = {
  node: { env: ["NODE_NAME"], description: "Node.", schema: configTypes.text() },
  ttlMs: { env: ["TTL", "OLD_TTL"], description: "Lifetime.", schema: configTypes.durationMs().default(1000) },
  dns: { env: ["DNS"], description: "Whether.", schema: configTypes.boolean(true) },
  token: { env: ["TOKEN"], description: "Token.", schema: configTypes.text().optional(), secret: true },
};

test("loadConfig() reads variables by order, applies defaults and freezes the result", () => {
  const config = loadConfig(spec, { NODE_NAME: "n1", OLD_TTL: "1h30m", DNS: "F" });
  assert.deepEqual({ ...config }, { node: "n1", ttlMs: 5_400_000, dns: false, token: undefined });
  assert.ok(Object.isFrozen(config));
});

test("loadConfig() lists every violation with its variable", () => {
  assert.throws(
    () => loadConfig(spec, { TTL: "soon", DNS: "maybe" }),
    (error: Error) => {
      assert.match(error.message, /NODE_NAME: /);
      assert.match(error.message, /TTL: must be a duration/);
      assert.match(error.message, /DNS: must be true or false/);
      return true;
    },
  );
});

test("loadConfig() refuses unknown keys of the file and lets the environment win over it", () => {
  const file = join(mkdtempSync(join(tmpdir(), "runtime-")), "config.json");
  writeFileSync(file, JSON.stringify({ node: "file", ttlMs: 5 }));
  assert.equal(loadConfig(spec, { NODE_NAME: "env" }, file).node, "env");
  writeFileSync(file, JSON.stringify({ node: "file", nodeName: "x" }));
  assert.throws(() => loadConfig(spec, {}, file), /nodeName is not a configuration key/);
});

test("printableConfig() masks secrets and describeConfig() gives defaults", () => {
  assert.equal(printableConfig(spec, loadConfig(spec, { NODE_NAME: "n", TOKEN: "s3cret" }))["token"], "***");
  assert.deepEqual(
    describeConfig(spec).map((row) => row.default),
    ["required", "1000", "true", ""],
  );
});

test("parseDurationMs() reads the field's notations and nothing else", () => {
  assert.equal(parseDurationMs("250ms"), 250);
  assert.equal(parseDurationMs("24h"), 86_400_000);
  assert.equal(parseDurationMs("10"), 10_000);
  assert.equal(parseDurationMs("10 apples"), undefined);
});
