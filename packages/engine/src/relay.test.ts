import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import net from "node:net";
import { type TestContext, test } from "node:test";
import { MeshError } from "@ambit/core";
import { eventually } from "@ambit/testkit";
import type { ByteStream, Relay, RelayEnd } from "./contract.ts";
import { LOOPBACK, startEngine } from "./loop.testing.ts";
import { relay } from "./relay.ts";

interface Proxy {
  readonly port: number;
  readonly relays: Relay[];
  readonly ends: RelayEnd[];
}

/** A proxy in front of `server`; `wrap` may hide what the engine knows of a stream. */
async function proxyFor(
  t: TestContext,
  server: net.Server,
  wrap: (stream: ByteStream) => ByteStream = (stream) => stream,
): Promise<Proxy> {
  const engine = startEngine(t);
  server.listen(0, LOOPBACK);
  await new Promise((resolve) => server.once("listening", resolve));
  t.after(() => server.close());
  const { port } = server.address() as net.AddressInfo;
  const relays: Relay[] = [];
  const ends: RelayEnd[] = [];
  const listener = engine.listenTcp({ netns: undefined, address: LOOPBACK, port: 0 }, (downstream) => {
    engine.dialTcp({ netns: undefined, remote: { ip: LOOPBACK, port }, timeoutMs: 2_000 }, (result) => {
      if (result.kind === "failed") downstream.reset();
      else relays.push(relay(wrap(downstream), wrap(result.connection), (end) => ends.push(end)));
    });
  });
  return { port: listener.local.port, relays, ends };
}

async function* randomChunks(total: number): AsyncGenerator<Buffer> {
  const block = randomBytes(1 << 20);
  for (let left = total; left > 0; ) {
    const start = Math.floor(Math.random() * (block.length - 1));
    const length = Math.min(left, 1 + Math.floor(Math.random() ** 3 * (block.length - start - 1)));
    yield block.subarray(start, start + length);
    left -= length;
    if (Math.random() < 0.02) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Sends random bytes in random pieces, ends its direction, and gives the digests of what it sent and received. */
async function exchange(socket: net.Socket, total: number): Promise<{ sent: string; received: string }> {
  const [sent, received] = [createHash("sha256"), createHash("sha256")];
  socket.on("data", (data) => {
    received.update(data);
    if (Math.random() < 0.01) {
      socket.pause();
      setTimeout(() => socket.resume(), 1);
    }
  });
  const ended = new Promise((resolve, reject) => socket.once("end", resolve).once("error", reject));
  for await (const chunk of randomChunks(total)) {
    sent.update(chunk);
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once("drain", resolve));
  }
  socket.end();
  await ended;
  return { sent: sent.digest("hex"), received: received.digest("hex") };
}

for (const kind of ["inside the kernel", "through another layer's streams"] as const) {
  test(`relay() carries 64 MiB each way byte for byte, ${kind}, with half-close`, async (t) => {
    const total = 64 << 20;
    let far: Promise<{ sent: string; received: string }> | undefined;
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      far = exchange(socket, total);
    });
    const proxy = await proxyFor(t, server, kind === "inside the kernel" ? undefined : plain);
    const near = await exchange(net.connect({ port: proxy.port, host: LOOPBACK, allowHalfOpen: true }), total);
    const other = await far;
    assert.equal(other?.received, near.sent);
    assert.equal(near.received, other?.sent);
    await eventually(() => proxy.ends.length === 1);
    assert.deepEqual(proxy.ends, [{ kind: "finished" }]);
    assert.equal(proxy.relays[0]?.bytesToUpstream, total);
    assert.equal(proxy.relays[0]?.bytesToDownstream, total);
  });
}

test("relay() answers after the client has ended its direction", async (t) => {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.resume();
    socket.on("end", () => socket.end("all read"));
  });
  const proxy = await proxyFor(t, server);
  const socket = net.connect({ port: proxy.port, host: LOOPBACK, allowHalfOpen: true });
  socket.end("question");
  let answer = "";
  for await (const data of socket) answer += data;
  assert.equal(answer, "all read");
});

test("relay() resets the other side when one side is cut, and reports which", async (t) => {
  const server = net.createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.resetAndDestroy());
  });
  const proxy = await proxyFor(t, server);
  const socket = net.connect(proxy.port, LOOPBACK);
  socket.write("x");
  const code = await new Promise((resolve) =>
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code)).once("end", () => resolve("clean end")),
  );
  assert.equal(code, "ECONNRESET");
  await eventually(() => proxy.ends.length === 1);
  const [end] = proxy.ends;
  assert.ok(end?.kind === "failed");
  assert.equal(end.side, "upstream");
  assert.equal(end.error.code, "ENGINE_RESET");
});

test("Relay.abort() resets both sides and reports its error", async (t) => {
  let cut = false;
  const server = net.createServer((socket) => {
    socket.resume();
    socket.on("error", () => {
      cut = true;
    });
  });
  const proxy = await proxyFor(t, server);
  const socket = net.connect(proxy.port, LOOPBACK);
  socket.write("x");
  const [joined] = await eventually(() => proxy.relays.length > 0 && proxy.relays);
  const error = new MeshError("TEST_DENIED", "a policy forbids it");
  const reset = new Promise((resolve) => socket.once("error", resolve));
  joined?.abort(error);
  await reset;
  await eventually(() => cut);
  assert.deepEqual(proxy.ends, [{ kind: "failed", side: "abort", error }]);
});

test("relay() holds little memory while one side does not read", async (t) => {
  let far: net.Socket | undefined;
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    far = socket;
  });
  const proxy = await proxyFor(t, server);
  const socket = net.connect(proxy.port, LOOPBACK);
  t.after(() => socket.destroy());
  const block = Buffer.alloc(1 << 20);
  let written = 0;
  const before = process.memoryUsage().arrayBuffers;
  const write = (): void => {
    if (written >= 256 << 20) return;
    written += block.length;
    socket.write(block, write);
  };
  write();
  let last = -1;
  await eventually(async () => {
    const { bytesToUpstream = 0 } = proxy.relays[0] ?? {};
    const still = bytesToUpstream === last && last > 0;
    last = bytesToUpstream;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return still;
  });
  assert.ok(last < 64 << 20, `${last} bytes were taken although nobody reads`);
  assert.ok(process.memoryUsage().arrayBuffers - before < 8 << 20);
  const cpu = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const used = process.cpuUsage(cpu);
  assert.ok(used.user + used.system < 100_000, `a stalled relay used ${used.user + used.system} µs of CPU in 0.5 s`);
  assert.ok(far !== undefined);
  far.destroy();
});

test("relay() does not spin when both directions are shut but the sink has no room for the rest", async (t) => {
  const total = 24 << 20;
  let far: net.Socket | undefined;
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    far = socket;
    socket.end();
  });
  const proxy = await proxyFor(t, server);
  const socket = net.connect({ port: proxy.port, host: LOOPBACK, allowHalfOpen: true });
  socket.resume();
  socket.end(Buffer.alloc(total, "q"));
  // The sender is done; what it sent lies in its kernel, in ours and in the one of the server that does not read.
  await new Promise((resolve) => socket.once("end", resolve));
  await new Promise((resolve) => setTimeout(resolve, 200));
  const cpu = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const used = process.cpuUsage(cpu);
  assert.ok(used.user + used.system < 100_000, `a shut relay used ${used.user + used.system} µs of CPU in 0.5 s`);
  let received = 0;
  far?.on("data", (data) => {
    received += data.length;
  });
  far?.resume();
  await eventually(() => received === total && proxy.ends.length === 1);
  assert.deepEqual(proxy.ends, [{ kind: "finished" }]);
});

/** Only what the boundary contract has. */
function plain(stream: ByteStream): ByteStream {
  return {
    handle: (handler) => stream.handle(handler),
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    write: (bytes) => stream.write(bytes),
    end: () => stream.end(),
    reset: () => stream.reset(),
  };
}
