// Certificates as connections meet them: none, renewed under way, not renewed, back again.
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { eventually } from "@ambit/testkit";
import type { Ztunnel } from "./testing/node-lab.ts";
import { connect, cutOf, echoOn, exchange, receive, serveOn, twoPods, VIP } from "./testing/traffic.ts";

const LONG = { timeoutMs: 20_000 };

function failures(ztunnel: Ztunnel): string[] {
  return ztunnel.accessLines().filter((line) => line.includes("error="));
}

test("ztunnel refuses a connection whose pod has no certificate, and sends nothing in plaintext", async (t) => {
  const { lab, client, server } = await twoPods(t);
  const arrived: Socket[] = [];
  await serveOn(t, server.netns, 8080, (socket) => arrived.push(socket));
  lab.ca.refuses = true;
  const ztunnel = await lab.startZtunnel();
  assert.equal(await cutOf(connect(t, client.netns, VIP, 80)), "ECONNRESET");
  const line = await eventually(() => failures(ztunnel)[0] ?? false);
  assert.match(
    line,
    /direction="outbound" .*error="identity error: no certificate for spiffe:\/\/cluster\.local\/ns\/default\/sa\/client: .*refused by the test/,
  );
  assert.match(await ztunnel.metrics(), /connections_failed_total\{reporter="source".*response_flags="IDENTITY_ERROR".*\} 1/);
  assert.equal(arrived.length, 0);
});

test("ztunnel lets a connection wait for the certificate that is on its way", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  lab.ca.refuses = true;
  await lab.startZtunnel();
  const back = exchange(connect(t, client.netns, VIP, 80), "patient");
  await eventually(() => lab.ca.asked > 2);
  lab.ca.refuses = false;
  assert.equal(String(await back), "patient");
});

test("ztunnel serves plaintext destinations without a certificate", async (t) => {
  const { lab, client, server } = await twoPods(t);
  const stranger = await lab.addPod("stranger", 9, { meshed: false });
  await echoOn(t, stranger.netns, 7000);
  await echoOn(t, server.netns, 8080);
  lab.ca.refuses = true;
  await lab.startZtunnel();
  assert.equal(String(await exchange(connect(t, client.netns, stranger.ip, 7000), "out")), "out");
  assert.equal(String(await exchange(connect(t, stranger.netns, server.ip, 8080), "in")), "in");
});

test("ztunnel renews certificates under running requests without failing any", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  lab.ca.lifetimeMs = 4_000;
  const ztunnel = await lab.startZtunnel();
  const lasting = connect(t, client.netns, VIP, 80);
  let asked = 0;
  // Both identities at least four times.
  while (lab.ca.issued < 8) {
    const text = `request ${++asked}`;
    assert.equal(String(await exchange(connect(t, client.netns, VIP, 80), text)), text);
    lasting.write(text);
    assert.equal(String(await receive(lasting)), text);
  }
  assert.deepEqual(failures(ztunnel), []);
});

test("ztunnel uses the old certificate until it expires, then refuses, then recovers", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  lab.ca.lifetimeMs = 5_000;
  const ztunnel = await lab.startZtunnel();
  const ask = async () => String(await exchange(connect(t, client.netns, VIP, 80), "x"));
  assert.equal(await ask(), "x");
  lab.ca.refuses = true;
  const askedBefore = lab.ca.asked;
  await eventually(() => lab.ca.asked > askedBefore, LONG);
  assert.equal(await ask(), "x");
  await eventually(() => ztunnel.log().includes("certificate not renewed, the old one serves"));
  await eventually(() => ztunnel.log().includes("certificate expired"), LONG);
  await assert.rejects(ask(), { code: "ECONNRESET" });
  assert.match(await ztunnel.metrics(), /connections_failed_total\{reporter="source".*response_flags="IDENTITY_ERROR"/);
  const { certificates } = await ztunnel.dump();
  assert.deepEqual(
    (certificates as { state: string }[]).map(({ state }) => state.slice(0, 11)),
    ["Unavailable", "Unavailable"],
  );
  lab.ca.lifetimeMs = 3_600_000;
  lab.ca.refuses = false;
  await eventually(async () => (await ask()) === "x", LONG);
});

test("ztunnel leaves a running connection alone when the certificate it began with expires", async (t: TestContext) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  lab.ca.lifetimeMs = 4_000;
  const ztunnel = await lab.startZtunnel();
  const lasting = connect(t, client.netns, VIP, 80);
  lasting.write("before");
  assert.equal(String(await receive(lasting)), "before");
  lab.ca.refuses = true;
  await eventually(() => ztunnel.log().split("certificate expired").length > 2, LONG);
  lasting.write("after");
  assert.equal(String(await receive(lasting)), "after");
});
