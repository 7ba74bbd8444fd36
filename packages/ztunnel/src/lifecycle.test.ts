// Stopping: by signal, with a successor, by force; and what open and new connections see of it.
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { eventually } from "@ambit/testkit";
import { connect, cutOf, echoOn, exchange, receive, serveOn, twoPods, VIP } from "./testing/traffic.ts";

/** Well above what a drain takes here. */
const LONG_DEADLINE = { CONNECTION_TERMINATION_DEADLINE: "60s" };

/** The errno that a new connection fails with; empty when it works. */
async function refusalOf(dial: () => Socket): Promise<string> {
  try {
    await exchange(dial(), "x");
    return "";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

test("ztunnel closes its listeners on SIGTERM and lets a running connection finish, then exits cleanly", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  const ztunnel = await lab.startZtunnel(LONG_DEADLINE);
  const lasting = connect(t, client.netns, VIP, 80);
  lasting.write("before");
  assert.equal(String(await receive(lasting)), "before");
  const exited = once(ztunnel.process, "exit");
  ztunnel.process.kill("SIGTERM");
  await eventually(async () => (await refusalOf(() => connect(t, client.netns, VIP, 80))) === "ECONNREFUSED");
  assert.equal(String(await exchange(lasting, "after")), "after");
  assert.deepEqual(await exited, [0, null]);
  // The one that lasted, reported from both sides; those that asked whether the listeners are closed may have been cut by that.
  const lasted = ztunnel.accessLines().filter((line) => /bytes_sent=11 bytes_recv=11 duration="\d+ms"$/.test(line));
  assert.equal(lasted.length, 2);
});

test("ztunnel cuts what outlives the time for draining, and says so", async (t) => {
  const { lab, client, server } = await twoPods(t);
  const far: Socket[] = [];
  await serveOn(t, server.netns, 8080, (socket) => far.push(socket.pipe(socket)));
  const ztunnel = await lab.startZtunnel({ CONNECTION_TERMINATION_DEADLINE: "500ms" });
  const lasting = connect(t, client.netns, VIP, 80);
  lasting.write("before");
  assert.equal(String(await receive(lasting)), "before");
  const cut = cutOf(lasting);
  const [atServer] = far;
  assert.ok(atServer !== undefined);
  const cutAtServer = cutOf(atServer);
  const exited = once(ztunnel.process, "exit");
  ztunnel.process.kill("SIGTERM");
  assert.equal(await cut, "ECONNRESET");
  assert.equal(await cutAtServer, "ECONNRESET");
  assert.deepEqual(await exited, [0, null]);
  const lines = ztunnel.accessLines().filter((line) => line.includes("connection complete"));
  assert.equal(lines.length, 2);
  assert.ok(
    lines.some((line) => line.endsWith('error="connection closed due to connection drain"')),
    lines.join("\n"),
  );
});

test("ztunnel drains on POST /quitquitquit as on SIGTERM", async (t) => {
  const { lab } = await twoPods(t);
  const ztunnel = await lab.startZtunnel();
  const exited = once(ztunnel.process, "exit");
  assert.equal(await ztunnel.post("/quitquitquit"), "shutting down\n");
  assert.deepEqual(await exited, [0, null]);
});

test("ztunnel leaves pods closed, never in plaintext, when it is killed, and serves them again after a start", async (t) => {
  const { lab, client, server } = await twoPods(t);
  const reached: Socket[] = [];
  await serveOn(t, server.netns, 8080, (socket) => reached.push(socket.pipe(socket)));
  const ztunnel = await lab.startZtunnel();
  const lasting = connect(t, client.netns, VIP, 80);
  lasting.write("before");
  assert.equal(String(await receive(lasting)), "before");
  const cut = new Promise<unknown>((resolve) => lasting.on("error", resolve).on("end", () => resolve("a clean end")));
  const exited = once(ztunnel.process, "exit");
  lasting.resume();
  ztunnel.process.kill("SIGKILL");
  await exited;
  assert.equal(((await cut) as NodeJS.ErrnoException).code, "ECONNRESET", "what was cut must not look complete");
  for (const [ip, port] of [
    [VIP, 80],
    [server.ip, 8080],
    [server.ip6, 8080],
  ] as const) {
    assert.equal(await refusalOf(() => connect(t, client.netns, ip, port)), "ECONNREFUSED");
  }
  assert.equal(reached.length, 1);
  await lab.startZtunnel();
  assert.equal(String(await exchange(connect(t, client.netns, VIP, 80), "again")), "again");
});
