import assert from "node:assert/strict";
import test from "node:test";
import { asMeshError, assertNever, hasCode, MeshError } from "./errors.ts";

test("MeshError carries code, details and cause", () => {
  const cause = new Error("below");
  const error = new MeshError("CORE_TEST", "Something, with a value", { cause, details: { port: 80 } });
  assert.deepEqual(
    [error.name, error.code, error.message, error.cause],
    ["MeshError", "CORE_TEST", "Something, with a value", cause],
  );
  assert.deepEqual(error.details, { port: 80 });
  assert.equal("cause" in new MeshError("CORE_TEST", "no cause"), false);
});

test("hasCode() compares codes, not classes", () => {
  assert.equal(hasCode(new MeshError("A_B", ""), "A_B"), true);
  assert.equal(hasCode({ code: "A_B" }, "A_B"), true);
  for (const other of [new MeshError("A_C", ""), new Error("A_B"), "A_B", undefined, null])
    assert.equal(hasCode(other, "A_B"), false);
});

test("asMeshError() keeps ours and wraps the rest", () => {
  const ours = new MeshError("A_B", "");
  assert.equal(asMeshError(ours, "OTHER"), ours);
  const foreign = new TypeError("bad");
  const wrapped = asMeshError(foreign, "A_B");
  assert.deepEqual([wrapped.code, wrapped.message, wrapped.cause], ["A_B", "bad", foreign]);
  assert.equal(asMeshError("text", "A_B").message, "text");
});

test("assertNever() throws with the value", () => {
  assert.throws(() => assertNever("surprise" as never), /Unexpected value "surprise"/);
});
