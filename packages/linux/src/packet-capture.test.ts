import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer, Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { IpAddress } from "@ambit/core";
import { eventually } from "@ambit/testkit";
import { fdWatcher } from "./fd-watcher.ts";
import { openNetns, runInNetns } from "./netns.ts";
import { type CapturedPacket, openCapture } from "./packet-capture.ts";
import { connectTcp, listenTcp } from "./sockets.ts";

const RIGHT = "10.9.0.2" as IpAddress;

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}

/** Two namespaces with a wire between them: `left` has 10.9.0.1 and `right` 10.9.0.2. */
function wire(t: TestContext, name: string) {
  const names = [`cap-${name}-l-${process.pid}`, `cap-${name}-r-${process.pid}`] as const;
  for (const each of names) ip("netns", "add", each);
  t.after(() => {
    for (const each of names) ip("netns", "del", each);
  });
  ip("link", "add", "w0", "netns", names[0], "type", "veth", "peer", "name", "w0", "netns", names[1]);
  for (const [i, each] of names.entries()) {
    ip("-n", each, "address", "add", `10.9.0.${i + 1}/24`, "dev", "w0");
    for (const device of ["w0", "lo"]) ip("-n", each, "link", "set", device, "up");
  }
  const [left, right] = names.map((each) => openNetns(`/run/netns/${each}`));
  assert.ok(left && right);
  t.after(() => {
    left.close();
    right.close();
  });
  return { left, right };
}

type Ends = ReturnType<typeof wire>;

/** A text there and back. Node resolves addresses outside of `runInNetns`, so that the descriptors are made here. */
async function send({ left, right }: Ends, text: string): Promise<void> {
  const { fd: listenFd, local } = listenTcp({ netns: right, address: RIGHT, port: 0 });
  const server = createServer((socket) => socket.on("error", () => undefined).pipe(socket));
  server.listen({ fd: listenFd });
  await once(server, "listening");
  const fd = connectTcp({ netns: left, remote: local });
  await fdWatcher().ready(fd, "writable");
  fdWatcher().forget(fd);
  const client = new Socket({ fd });
  client.end(text);
  let received = 0;
  client.on("data", (bytes: Buffer) => {
    received += bytes.length;
  });
  await once(client, "close");
  assert.equal(received, text.length);
  server.close();
  await once(server, "close");
}

function textOf(packets: readonly CapturedPacket[]): string {
  return Buffer.concat(packets.map(({ bytes }) => bytes)).toString("latin1");
}

test("openCapture() sees what passes a device, both ways, with the kernel's time, and nothing of before or after", async (t) => {
  const ends = wire(t, "see");
  await send(ends, "before");
  const startMs = Date.now();
  const capture = openCapture({ netns: ends.left, device: "w0" });
  t.after(() => capture.close());
  await send(ends, "hello");
  const packets: CapturedPacket[] = [];
  await eventually(() => {
    packets.push(...capture.read());
    assert.equal(textOf(packets).split("hello").length - 1, 2);
  });
  assert.doesNotMatch(textOf(packets), /before/);
  for (const { atMs } of packets) assert.ok(atMs >= startMs - 1 && atMs <= Date.now() + 1, `${atMs}`);
  assert.equal(capture.dropped, 0);
  capture.close();
  await send(ends, "after");
  assert.deepEqual(capture.read(), []);
  assert.equal(capture.dropped, 0);
});

test("openCapture() without a device sees all of the namespace and nothing of another one", async (t) => {
  const ends = wire(t, "all");
  const others = wire(t, "oth");
  const capture = openCapture({ netns: ends.right });
  t.after(() => capture.close());
  await send(others, "elsewhere");
  await send(ends, "here");
  let seen = "";
  await eventually(() => {
    seen += textOf(capture.read());
    assert.match(seen, /here/);
  });
  assert.doesNotMatch(seen, /elsewhere/);
});

test("openCapture() keeps no more than it may and counts the rest", async (t) => {
  const ends = wire(t, "max");
  const capture = openCapture({ netns: ends.left, device: "w0", maxBytes: 10_000 });
  t.after(() => capture.close());
  await send(ends, "x".repeat(300_000));
  await eventually(() => assert.ok(capture.dropped > 0));
  assert.ok(textOf(capture.read()).length <= 10_000);
});

test("openCapture() takes a megabyte both ways without loss, read while it comes", async (t) => {
  const ends = wire(t, "meg");
  const capture = openCapture({ netns: ends.left, device: "w0" });
  t.after(() => capture.close());
  await send(ends, "y".repeat(1_000_000));
  let seen = 0;
  await eventually(() => {
    seen += textOf(capture.read()).split("y").length - 1;
    assert.ok(seen >= 2_000_000);
  });
  assert.equal(capture.dropped, 0);
});

test("openCapture() refuses devices that are not there or carry no Ethernet, and says when one goes away", async (t) => {
  const { left } = wire(t, "bad");
  assert.throws(() => openCapture({ netns: left, device: "nope" }), { code: "LINUX_SYSTEM_CALL_FAILED", message: /device nope/ });
  assert.throws(() => openCapture({ netns: left, device: "a-name-that-is-too-long" }), { code: "LINUX_DEVICE_UNSUPPORTED" });
  runInNetns(left, () => ip("link", "set", "w0", "down"));
  const down = openCapture({ netns: left });
  down.close();
  runInNetns(left, () => ip("link", "set", "w0", "up"));
  const capture = openCapture({ netns: left, device: "w0" });
  t.after(() => capture.close());
  runInNetns(left, () => ip("link", "del", "w0"));
  await eventually(() => assert.throws(() => capture.read(), { code: "LINUX_SYSTEM_CALL_FAILED" }));
});
