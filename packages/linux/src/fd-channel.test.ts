import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { connectSeqpacket, type FdChannel, listenSeqpacket } from "./fd-channel.ts";
import { adoptNetns, ownNetns } from "./netns.ts";
import { sendPacket } from "./packet.ts";

async function pair(t: TestContext): Promise<{ here: FdChannel; there: FdChannel; path: string }> {
  const folder = mkdtempSync(join(tmpdir(), "eng-"));
  const path = join(folder, "s.sock");
  const listener = listenSeqpacket(path);
  const [here, there] = await Promise.all([connectSeqpacket(path), listener.accept()]);
  assert.ok(there !== undefined);
  t.after(() => {
    here.close();
    there.close();
    listener.close();
    rmSync(folder, { recursive: true });
  });
  return { here, there, path };
}

test("FdChannel carries packets with their boundaries and the peer's credentials", async (t) => {
  const { here, there } = await pair(t);
  await here.send(Uint8Array.of(1, 2, 3));
  await here.send(new Uint8Array(1024).fill(7));
  assert.deepEqual((await there.receive())?.data, Uint8Array.of(1, 2, 3));
  assert.equal((await there.receive())?.data.length, 1024);
  assert.equal(there.peerCredentials.pid, process.pid);
});

test("FdChannel hands over a network namespace that is the same one", async (t) => {
  const { here, there } = await pair(t);
  const netns = ownNetns();
  await here.send(Uint8Array.of(9), netns);
  const packet = await there.receive();
  assert.equal(packet?.netns?.id, netns.id);
  assert.notEqual(packet?.netns?.token.fd, netns.token.fd);
  packet?.netns?.close();
  netns.close();
});

test("FdChannel.receive() waits for a packet that comes later, and gives undefined when the peer has closed", async (t) => {
  const { here, there } = await pair(t);
  const waiting = there.receive();
  await new Promise((resolve) => setTimeout(resolve, 20));
  await here.send(Uint8Array.of(5));
  assert.deepEqual((await waiting)?.data, Uint8Array.of(5));
  const end = there.receive();
  here.close();
  assert.equal(await end, undefined);
});

test("FdChannel.receive() refuses a descriptor that is no network namespace and goes on", async (t) => {
  const { here, there } = await pair(t);
  const other = openSync("/dev/null", "r");
  const disguised = { id: "x", token: { id: "x", fd: other }, close: () => undefined };
  await here.send(Uint8Array.of(1), disguised);
  await here.send(Uint8Array.of(2));
  await assert.rejects(there.receive(), { code: "LINUX_FRAME_INVALID" });
  assert.deepEqual((await there.receive())?.data, Uint8Array.of(2));
  assert.throws(() => adoptNetns(other), { code: "LINUX_NETNS_INVALID" });
});

test("FdChannel.send() refuses what is too long and waits while the peer's queue is full", async (t) => {
  const { here, there } = await pair(t);
  await assert.rejects(here.send(new Uint8Array(1025)), { code: "LINUX_FRAME_INVALID" });
  const count = 2000;
  const sending = (async () => {
    for (let i = 0; i < count; i++) await here.send(new Uint8Array(1000).fill(i & 255));
  })();
  for (let i = 0; i < count; i++) assert.equal((await there.receive())?.data[999], i & 255);
  await sending;
});

test("FdChannel.close() ends a receive that waits", async (t) => {
  const { there } = await pair(t);
  const waiting = there.receive();
  there.close();
  await assert.rejects(waiting, { code: "LINUX_CHANNEL_FAILED" });
});

test("connectSeqpacket() says who is missing when nobody listens", async () => {
  await assert.rejects(connectSeqpacket("/tmp/eng-nobody.sock"), { code: "LINUX_CHANNEL_FAILED", details: { errno: "ENOENT" } });
});

test("sendPacket() refuses an empty packet, which would read as the end", () => {
  assert.throws(() => sendPacket(-1, new Uint8Array(0), undefined), { code: "LINUX_FRAME_INVALID" });
});

test("A process with closed channels ends by itself, and one with open channels ends when told to", async () => {
  const module = new URL("./fd-channel.ts", import.meta.url).href;
  const script = (last: string) => `
    import { listenSeqpacket, connectSeqpacket } from ${JSON.stringify(module)};
    const path = ${JSON.stringify(tmpdir())} + "/eng-exit-" + process.pid + ".sock";
    const listener = listenSeqpacket(path); void listener.accept();
    const channel = await connectSeqpacket(path); const waiting = channel.receive().catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 50));
    ${last}`;
  const run = promisify(execFile);
  for (const last of ["channel.close(); listener.close(); await waiting;", "listener.close(); process.exit(0);"]) {
    await run(process.execPath, ["--input-type=module", "-e", script(last)], { timeout: 20_000 });
  }
});
