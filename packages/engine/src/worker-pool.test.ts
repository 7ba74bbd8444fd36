import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import net from "node:net";
import { type TestContext, test } from "node:test";
import tls from "node:tls";
import { createTestAuthority, eventually } from "@ambit/testkit";
import type { WorkerPool } from "./contract.ts";
import { LOOPBACK } from "./loop.testing.ts";
import { startWorkerPool } from "./worker-pool.ts";

type ToWorker = { kind: "ping"; n: number } | { kind: "throw" };
type ToMain = { kind: "pong"; n: number } | { kind: "accepted"; port: number };

interface Harness {
  readonly pool: WorkerPool<ToWorker>;
  readonly started: number[];
  readonly deaths: string[];
  readonly messages: [worker: number, message: ToMain][];
}

const ENTRY = new URL("./echo-worker.testing.ts", import.meta.url);

async function start(t: TestContext, count: number, data: unknown): Promise<Harness> {
  const harness = { started: [] as number[], deaths: [] as string[], messages: [] as [number, ToMain][] };
  const pool = await startWorkerPool<ToWorker, ToMain>({
    entry: ENTRY,
    count,
    data,
    onStart: (worker) => harness.started.push(worker),
    onMessage: (worker, message) => harness.messages.push([worker, message]),
    onDeath: (_, error) => harness.deaths.push(error.message),
  });
  t.after(() => pool.stop());
  return { pool, ...harness };
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, LOOPBACK);
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("WorkerPool carries messages both ways in order and stops", async (t) => {
  const { pool, messages, started } = await start(t, 2, { port: 0 });
  assert.deepEqual(started.toSorted(), [0, 1]);
  for (let n = 0; n < 500; n++) pool.broadcast({ kind: "ping", n });
  await eventually(() => messages.length === 1000);
  for (const worker of [0, 1]) {
    const numbers = messages.flatMap(([from, message]) => (from === worker && message.kind === "pong" ? [message.n] : []));
    assert.deepEqual(numbers, [...numbers.keys()]);
  }
  await pool.stop();
  assert.equal(pool.restarts, 0);
});

test("A worker that throws is replaced and counted; its connections are reset, the other's live on", async (t) => {
  const port = await freePort();
  const before = readdirSync("/proc/self/fd").length;
  const { pool, messages, deaths, started } = await start(t, 2, { port });
  const sockets: { socket: net.Socket; worker: number; code: string | undefined }[] = [];
  const workerOf = (local: number) => messages.find(([, message]) => message.kind === "accepted" && message.port === local)?.[0];
  while (new Set(sockets.map(({ worker }) => worker)).size < 2) {
    const socket = net.connect(port, LOOPBACK);
    await new Promise((resolve) => socket.once("connect", resolve));
    const local = socket.localPort ?? 0;
    const entry = {
      socket,
      worker: await eventually(() => workerOf(local) ?? false).catch(() => -1),
      code: undefined as string | undefined,
    };
    socket.on("error", (error: NodeJS.ErrnoException) => {
      entry.code = error.code;
    });
    sockets.push(entry);
  }
  pool.post(0, { kind: "throw" });
  await eventually(() => deaths.length === 1);
  assert.match(deaths[0] ?? "", /worker 0 died: asked to throw/);
  await eventually(() => sockets.every(({ worker, code }) => (worker === 0 ? code === "ECONNRESET" : code === undefined)));
  const survivor = sockets.find(({ worker }) => worker === 1)?.socket;
  assert.ok(survivor !== undefined);
  survivor.write("alive?");
  assert.equal(String(await new Promise((resolve) => survivor.once("data", resolve))), "alive?");
  await eventually(() => started.filter((worker) => worker === 0).length === 2);
  assert.equal(pool.restarts, 1);
  pool.post(0, { kind: "ping", n: 7 });
  await eventually(() => messages.some(([worker, message]) => worker === 0 && message.kind === "pong" && message.n === 7));
  for (const { socket } of sockets) socket.destroy();
  await pool.stop();
  await eventually(() => readdirSync("/proc/self/fd").length <= before + 8);
});

test("Workers speak TLS at the same time, each with contexts of its own", async (t) => {
  const port = await freePort();
  const authority = createTestAuthority();
  await start(t, 2, { port, pem: authority.issue({ uris: ["spiffe://cluster.local/ns/a/sa/worker"] }) });
  const { certChain, privateKey } = authority.issue({ uris: ["spiffe://cluster.local/ns/a/sa/client"] });
  const options = { port, host: LOOPBACK, cert: certChain, key: privateKey, ca: authority.rootPem, ALPNProtocols: ["h2"] };
  const answers = Array.from({ length: 40 }, async (_, i) => {
    const socket = tls.connect({ ...options, checkServerIdentity: () => undefined });
    socket.write(`hello ${i}`);
    const answer = String(await new Promise((resolve, reject) => socket.once("data", resolve).once("error", reject)));
    socket.destroy();
    return answer;
  });
  assert.deepEqual(
    await Promise.all(answers),
    [...Array(40).keys()].map((i) => `hello ${i}`),
  );
});

test("Idle workers use no CPU", async (t) => {
  const port = await freePort();
  await start(t, 2, { port });
  const idle = net.connect(port, LOOPBACK);
  await new Promise((resolve) => idle.once("connect", resolve));
  await new Promise((resolve) => setTimeout(resolve, 500));
  const before = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const { user, system } = process.cpuUsage(before);
  idle.destroy();
  assert.ok(user + system < 100_000, `${user + system} µs of CPU in one idle second`);
});

test("startWorkerPool() fails with the reason when the set-up of a worker throws", async () => {
  const starting = startWorkerPool({ entry: ENTRY, count: 2, data: { port: -1 }, onStart() {}, onMessage() {}, onDeath() {} });
  await assert.rejects(starting, { code: "ENGINE_WORKER_DIED" });
});
