import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { allocPinned, readPointer, writePointer } from "./pinned.ts";

const PACKAGES = new URL("../..", import.meta.url).pathname;

test("Addresses of buffers are taken in pinned.ts alone, and koffi is imported by the binding files alone", () => {
  const takers: string[] = [];
  const importers: string[] = [];
  for (const file of globSync("{linux,engine,hbone,ztunnel}/src/**/*.ts", { cwd: PACKAGES })) {
    if (file.endsWith(".test.ts")) continue;
    const text = readFileSync(`${PACKAGES}/${file}`, "utf8");
    if (/koffi\s*\.\s*(address|as)\s*\(/.test(text)) takers.push(file);
    if (/from "koffi"/.test(text)) importers.push(file);
  }
  assert.deepEqual(takers, ["linux/src/pinned.ts"]);
  assert.deepEqual(importers.toSorted(), ["engine/src/openssl.ts", "linux/src/foreign.ts", "linux/src/pinned.ts"]);
});

test("Pinned memory stays where it is while others come and go", () => {
  const pinned = allocPinned(64);
  pinned.bytes.fill(42);
  for (let i = 0; i < 200; i++) new Uint8Array(1 << 20).fill(i);
  assert.ok(pinned.bytes.every((byte) => byte === 42));
  writePointer(pinned.view, 8, pinned.address);
  assert.equal(readPointer(pinned.view, 8), pinned.address);
});
