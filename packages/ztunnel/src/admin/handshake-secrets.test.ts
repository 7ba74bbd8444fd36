import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@ambit/core";
import { httpServer } from "@ambit/runtime";
import type { ToWorker } from "../worker-messages.ts";
import { addHandshakeSecretRoutes, HandshakeSecrets } from "./handshake-secrets.ts";

function setup(workers = 2) {
  const clock = new ManualClock();
  const sent: ToWorker[] = [];
  const secrets = new HandshakeSecrets({ broadcast: (message) => sent.push(message), workerCount: () => workers, clock });
  const answerAll = (run: number) => {
    for (let worker = 0; worker < workers; worker++) secrets.began(worker, run);
  };
  return { clock, sent, secrets, answerAll };
}

test("HandshakeSecrets.collect() resolves when every worker collects, keeps lines for its time and forgets them a minute later", async () => {
  const { clock, sent, secrets, answerAll } = setup();
  secrets.add("before");
  const collecting = secrets.collect(10);
  assert.deepEqual(sent, [{ kind: "handshakeSecrets", run: 1 }]);
  answerAll(1);
  await collecting;
  secrets.add("a");
  clock.advance(9_999);
  secrets.add("b");
  clock.advance(1);
  assert.deepEqual(sent.at(-1), { kind: "handshakeSecrets", run: undefined });
  secrets.add("after");
  assert.equal(secrets.text, "a\nb\n");
  clock.advance(60_000);
  assert.equal(secrets.text, "");
});

test("HandshakeSecrets.collect() begins anew when it collects already", async () => {
  const { clock, secrets, answerAll } = setup();
  const first = secrets.collect(5);
  secrets.add("old");
  clock.advance(4_000);
  const second = secrets.collect(5);
  secrets.began(0, 1);
  answerAll(2);
  await Promise.all([first, second]);
  clock.advance(4_000);
  secrets.add("new");
  assert.equal(secrets.text, "new\n");
});

test("HandshakeSecrets.collect() fails when a worker is silent, and includes one that starts meanwhile", async () => {
  const { clock, secrets } = setup();
  const silent = secrets.collect(10);
  secrets.began(0, 1);
  clock.advance(5_000);
  await assert.rejects(silent, { code: "ZTUNNEL_WORKERS_SILENT", message: /threads 1 / });
  const posted: ToWorker[] = [];
  secrets.workerStarted((message) => posted.push(message));
  assert.deepEqual(posted, [{ kind: "handshakeSecrets", run: 1 }]);
  clock.advance(10_000);
  secrets.workerStarted((message) => posted.push(message));
  assert.equal(posted.length, 1);
});

test("HandshakeSecrets keeps a bounded number of lines, the newest", async () => {
  const { secrets, answerAll } = setup(1);
  const collecting = secrets.collect(1);
  answerAll(1);
  await collecting;
  for (let i = 0; i < 10_050; i++) secrets.add(`line ${i}`);
  const lines = secrets.text.trim().split("\n");
  assert.deepEqual([lines.length, lines[0], lines.at(-1)], [10_000, "line 50", "line 10049"]);
  secrets.close();
  assert.equal(secrets.text, "");
});

test("POST /debug/handshake_secrets takes 1 to 60 seconds only", async (t) => {
  const { secrets, sent, answerAll } = setup();
  const server = httpServer();
  t.after(() => server.close());
  addHandshakeSecretRoutes(server, secrets);
  for (const query of ["", "?seconds=0", "?seconds=61", "?seconds=-1", "?seconds=1.5", "?seconds=x", "?seconds=1&seconds=2"]) {
    const { statusCode } = await server.inject({ method: "POST", url: `/debug/handshake_secrets${query}` });
    assert.equal(statusCode, 400, query);
  }
  assert.deepEqual(sent, []);
  const answer = server.inject({ method: "POST", url: "/debug/handshake_secrets?seconds=60" });
  while (sent.length === 0) await new Promise((resolve) => setImmediate(resolve));
  answerAll(1);
  assert.equal((await answer).statusCode, 200);
  secrets.add("line");
  assert.equal((await server.inject("/debug/handshake_secrets")).body, "line\n");
});
