// Ways to a meshed pod: by its address, by a service, over IPv6, among several endpoints.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, service } from "@ambit/testkit";
import { connect, echoOn, exchange, nameOn, twoPods, VIP, VIP6, workloadOf } from "./testing/traffic.ts";

test("ztunnel carries IPv6 between pods over HBONE, by address and by a service's address", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  const ztunnel = await lab.startZtunnel();
  assert.equal(String(await exchange(connect(t, client.netns, server.ip6, 8080), "direct")), "direct");
  assert.equal(String(await exchange(connect(t, client.netns, VIP6, 80), "service")), "service");
  const outbound = await eventually(() => {
    const complete = ztunnel.accessLines().filter((line) => line.includes("complete"));
    return complete.length === 4 && complete.filter((line) => line.includes('direction="outbound"'));
  });
  assert.match(
    outbound[0] ?? "",
    /src\.addr=\[fd79::1\]:\d+ .* dst\.addr=\[fd79::2\]:15008 dst\.hbone_addr=\[fd79::2\]:8080 dst\.workload="server"/,
  );
  assert.match(outbound[1] ?? "", /dst\.addr=\[fd79::2\]:15008 dst\.hbone_addr=\[fd79::2\]:8080 dst\.service="web\.default/);
  assert.ok(outbound.every((line) => line.includes("dst.identity=")));
});

test("ztunnel uses HBONE for a pod's own address, with or without a service", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  await echoOn(t, server.netns, 9999);
  const ztunnel = await lab.startZtunnel();
  assert.equal(String(await exchange(connect(t, client.netns, server.ip, 8080), "served")), "served");
  assert.equal(String(await exchange(connect(t, client.netns, server.ip, 9999), "unserved")), "unserved");
  const inbound = await eventually(() => {
    const lines = ztunnel.accessLines().filter((line) => line.includes("complete") && line.includes('direction="inbound"'));
    return lines.length === 2 && lines;
  });
  assert.match(inbound[0] ?? "", /dst\.addr=10\.79\.0\.2:15008 dst\.hbone_addr=10\.79\.0\.2:8080 .*dst\.identity=/);
  assert.match(inbound[1] ?? "", /dst\.hbone_addr=10\.79\.0\.2:9999 dst\.workload="server"/);
  assert.ok(inbound.every((line) => line.includes('src.identity="spiffe://cluster.local/ns/default/sa/client"')));
});

test("ztunnel spreads a service's connections over its endpoints and leaves out those that are not healthy", async (t) => {
  const { lab, client, server } = await twoPods(t);
  const names = new Map([
    [server, "server"],
    [await lab.addPod("second", 3), "second"],
    [await lab.addPod("broken", 4), "broken"],
  ]);
  for (const [pod, name] of names) {
    await nameOn(t, pod.netns, 8080, name);
    const served = workloadOf(pod).serving("default/web.default.svc.cluster.local", { 80: 8080 });
    lab.controlPlane.setWorkload((name === "broken" ? served.unhealthy() : served).build());
  }
  await lab.startZtunnel();
  const seen = new Map<string, number>();
  for (let i = 0; i < 60; i++) {
    const name = String(await exchange(connect(t, client.netns, VIP, 80), ""));
    seen.set(name, (seen.get(name) ?? 0) + 1);
  }
  assert.deepEqual([...seen.keys()].sort(), ["second", "server"]);
});

test("ztunnel carries a pod's connection to itself through its service", async (t) => {
  const { lab, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  await lab.startZtunnel();
  assert.equal(String(await exchange(connect(t, server.netns, VIP, 80), "myself")), "myself");
});

test("ztunnel refuses a service without healthy endpoints with the reason", async (t) => {
  const { lab, client } = await twoPods(t);
  lab.controlPlane.setService(service().named("empty").at("10.96.0.77").onPorts({ 80: 8080 }).build());
  const ztunnel = await lab.startZtunnel();
  await assert.rejects(exchange(connect(t, client.netns, "10.96.0.77", 80), "x"), { code: "ECONNRESET" });
  await eventually(() =>
    ztunnel
      .accessLines()
      .some((line) => line.includes("connection failed") && line.includes("no healthy upstream: 10.96.0.77:80")),
  );
});

test("ztunnel follows a service's endpoints as they come and go", async (t) => {
  const { lab, client, server } = await twoPods(t);
  const next = await lab.addPod("next", 3);
  await nameOn(t, server.netns, 8080, "server");
  await nameOn(t, next.netns, 8080, "next");
  lab.controlPlane.setWorkload(workloadOf(next).build());
  await lab.startZtunnel();
  const ask = async () => String(await exchange(connect(t, client.netns, VIP, 80), ""));
  assert.equal(await ask(), "server");
  lab.controlPlane.setWorkload(
    workloadOf(next).serving("default/web.default.svc.cluster.local", { 80: 8080 }).build(),
    workloadOf(server).build(),
  );
  await eventually(async () => (await ask()) === "next");
  assert.equal(await ask(), "next");
});
