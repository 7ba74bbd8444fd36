import assert from "node:assert/strict";
import { test } from "node:test";
import { staleDocs } from "./generate-docs.ts";

test("documents that are made from code are up to date; `npm run docs` writes them", async () => {
  assert.deepEqual(await staleDocs(), []);
});
