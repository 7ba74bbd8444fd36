import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "./run.ts";

async function call(...argv: string[]) {
  const outs: string[] = [];
  const errs: string[] = [];
  const io = {
    out: (text: string) => void outs.push(text),
    err: (text: string) => void errs.push(text),
    env: {},
    signal: new AbortController().signal,
  };
  const code = await run(argv, io);
  return { code, out: outs.join(""), err: errs.join("") };
}

test("run() prints the verbs and exits with 2 when no verb is given", async () => {
  const { code, out } = await call();
  assert.equal(code, 2);
  assert.match(out, /explain +Where one connection goes/);
});

test("run() exits with 2 and names the verb when it does not exist", async () => {
  const { code, err } = await call("frobnicate");
  assert.equal(code, 2);
  assert.match(err, /frobnicate is not a verb/);
});

test("run() exits with 2 when a flag is unknown", async () => {
  const { code, err } = await call("completion", "--nope");
  assert.equal(code, 2);
  assert.match(err, /nope/);
});

test("run() prints a finding's remedy for help CODE", async () => {
  const { code, out } = await call("help", "AMBIT-1301");
  assert.equal(code, 0);
  assert.match(out, /never sent in plaintext/);
});
