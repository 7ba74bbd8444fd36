import assert from "node:assert/strict";
import { test } from "node:test";
import { type Listing, parseOutputFormat, renderListing, renderTable } from "./output.ts";

const listing: Listing<{ name: string; node: string }> = {
  kind: "PodList",
  items: [{ name: "a", node: "n1" }],
  columns: [
    { title: "NAME", value: (item) => item.name },
    { title: "NODE", wide: true, value: (item) => item.node },
  ],
  nameOf: (item) => `pod/${item.name}`,
};

test("renderListing() shows wide columns only when asked", async () => {
  assert.equal(await renderListing(listing, "table"), "NAME\na\n");
  assert.equal(await renderListing(listing, "wide"), "NAME  NODE\na     n1\n");
});

test("renderListing() gives JSON with apiVersion and kind", async () => {
  const parsed = JSON.parse(await renderListing(listing, "json")) as { apiVersion: string; kind: string };
  assert.equal(parsed.apiVersion, "cli.ambit.dev/v1");
  assert.equal(parsed.kind, "PodList");
});

test("renderTable() leaves no trailing blanks", () => {
  assert.equal(
    renderTable([
      ["a", "b"],
      ["ccc", ""],
    ]),
    "a    b\nccc\n",
  );
});

test("parseOutputFormat() refuses what it does not know", () => {
  assert.throws(() => parseOutputFormat("xml"), /not an output format/);
});
