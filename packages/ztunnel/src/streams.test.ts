// What a connection promises to applications, through two proxies' worth of work: order, ends, cuts, and every byte.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { test } from "node:test";
import { eventually } from "@ambit/testkit";
import { connect, cutOf, receive, receiveAll, serveOn, twoPods, VIP } from "./testing/traffic.ts";

/** One connection to the service with both of its ends in hand. */
async function bothEnds(t: Parameters<typeof twoPods>[0]) {
  const { lab, client, server } = await twoPods(t);
  const accepted = Promise.withResolvers<Socket>();
  await serveOn(t, server.netns, 8080, (socket) => accepted.resolve(socket));
  const ztunnel = await lab.startZtunnel();
  const near = connect(t, client.netns, VIP, 80);
  return { ztunnel, near, far: await accepted.promise };
}

test("ztunnel lets the server speak first", async (t) => {
  const { near, far } = await bothEnds(t);
  far.write("220 ready");
  assert.equal(String(await receive(near)), "220 ready");
  near.write("HELO");
  assert.equal(String(await receive(far)), "HELO");
});

test("ztunnel carries each direction's end by itself when the client ends first", async (t) => {
  const { near, far, ztunnel } = await bothEnds(t);
  const atServer = receiveAll(far);
  const atClient = receiveAll(near);
  near.end("request");
  assert.equal(String(await atServer), "request");
  far.write("first ");
  await eventually(() => near.bytesRead > 0);
  far.end("second");
  assert.equal(String(await atClient), "first second");
  await eventually(
    () => ztunnel.accessLines().filter((line) => line.includes("\tinfo\taccess\tconnection complete")).length === 2,
  );
});

test("ztunnel carries each direction's end by itself when the server ends first", async (t) => {
  const { near, far, ztunnel } = await bothEnds(t);
  const atServer = receiveAll(far);
  const atClient = receiveAll(near);
  far.end("greeting");
  assert.equal(String(await atClient), "greeting");
  near.write("first ");
  await eventually(() => far.bytesRead > 0);
  near.end("second");
  assert.equal(String(await atServer), "first second");
  await eventually(
    () => ztunnel.accessLines().filter((line) => line.includes("\tinfo\taccess\tconnection complete")).length === 2,
  );
});

test("ztunnel never turns the server's reset into a clean end", async (t) => {
  const { near, far, ztunnel } = await bothEnds(t);
  far.write("half of an answ");
  await receive(near);
  const cut = cutOf(near);
  far.resetAndDestroy();
  assert.equal(await cut, "ECONNRESET");
  await eventually(() => ztunnel.accessLines().filter((line) => line.includes("connection complete")).length === 2);
});

test("ztunnel never turns the client's reset into a clean end", async (t) => {
  const { near, far, ztunnel } = await bothEnds(t);
  near.write("half of a requ");
  await receive(far);
  const cut = cutOf(far);
  near.resetAndDestroy();
  assert.equal(await cut, "ECONNRESET");
  await eventually(() => ztunnel.accessLines().filter((line) => line.includes("connection complete")).length === 2);
});

test("ztunnel carries 100 MB each way at once without changing a byte", async (t) => {
  const { near, far, ztunnel } = await bothEnds(t);
  const block = randomBytes(1 << 20);
  const blocks = 100;
  const expected = createHash("sha256");
  for (let i = 0; i < blocks; i++) expected.update(block);
  const digest = expected.digest("hex");
  const send = async (socket: Socket) => {
    for (let i = 0; i < blocks; i++) {
      if (!socket.write(block)) await new Promise((resolve) => socket.once("drain", resolve));
    }
    socket.end();
  };
  const digestOf = (socket: Socket) =>
    new Promise<string>((resolve, reject) => {
      const hash = createHash("sha256");
      socket.on("data", (chunk: Buffer) => hash.update(chunk));
      socket.on("end", () => resolve(hash.digest("hex")));
      socket.on("error", reject);
    });
  const digests = Promise.all([digestOf(near), digestOf(far)]);
  await Promise.all([send(near), send(far)]);
  assert.deepEqual(await digests, [digest, digest]);
  const total = block.length * blocks;
  await eventually(
    () => ztunnel.accessLines().filter((line) => line.includes(`bytes_sent=${total} bytes_recv=${total}`)).length === 2,
  );
});

test("ztunnel holds a fast sender back while the receiver does not read", async (t) => {
  const { near, far } = await bothEnds(t);
  const block = randomBytes(1 << 20);
  far.pause();
  let sent = 0;
  // A sender that could get rid of this much would mean that the proxy holds it in memory.
  while (sent < 256 && near.write(block)) sent++;
  for (; sent < 256; sent++) {
    const drained = await Promise.race([
      new Promise<boolean>((resolve) => near.once("drain", () => resolve(true))),
      new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 500)),
    ]);
    if (!drained) break;
    near.write(block);
  }
  assert.ok(sent < 128, `${sent} MiB were taken although nobody reads`);
  const received = receiveAll(far);
  far.resume();
  near.end();
  assert.equal((await received).length, near.bytesWritten);
});
