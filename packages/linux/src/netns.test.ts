import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { libc } from "./libc.ts";
import { netnsFromToken, openNetns, ownNetns, runInNetns } from "./netns.ts";
import { listenTcp, localAddress } from "./sockets.ts";

const NAME = `eng-ns-${process.pid}`;

test("runInNetns() acts inside, comes back also after an error, and the same namespace has the same id", (t) => {
  execFileSync("ip", ["netns", "add", NAME]);
  t.after(() => execFileSync("ip", ["netns", "del", NAME]));
  const inside = openNetns(`/run/netns/${NAME}`);
  const own = ownNetns();
  assert.notEqual(inside.id, own.id);
  const again = netnsFromToken(inside.token);
  assert.equal(again.id, inside.id);
  assert.deepEqual(
    runInNetns(inside, () => Object.keys(networkInterfaces())),
    [],
  );
  assert.throws(() => runInNetns(inside, () => assert.fail("inside")), /inside/);
  const back = openNetns("/proc/thread-self/ns/net");
  assert.equal(back.id, own.id);
  for (const netns of [inside, own, again, back]) netns.close();
});

test("runInNetns() refuses an asynchronous function", () => {
  const own = ownNetns();
  assert.throws(() => runInNetns(own, async () => 1), TypeError);
  own.close();
});

test("openNetns() says what is wrong with a path that is missing or no namespace", () => {
  assert.throws(() => openNetns("/run/netns/eng-does-not-exist"), { code: "LINUX_NETNS_INVALID" });
  assert.throws(() => openNetns("/etc/hostname"), { code: "LINUX_NETNS_INVALID" });
  assert.throws(() => openNetns("/proc/self/ns/mnt"), { code: "LINUX_NETNS_INVALID" });
});

test("netnsFromToken() fails when the descriptor was closed", () => {
  const own = ownNetns();
  const { token } = own;
  own.close();
  assert.throws(() => netnsFromToken(token), { code: "LINUX_NETNS_INVALID" });
});

test("listenTcp() is dual stack on any, and says which option failed", () => {
  assert.ok(existsSync("/proc/net/if_inet6"));
  const { fd, local } = listenTcp({ netns: undefined, address: "any", port: 0, mark: 1337 });
  assert.equal(local.ip, "::");
  assert.deepEqual(localAddress(fd), local);
  libc.close(fd);
});
