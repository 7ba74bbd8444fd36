// The node proxy as a process: real connections between real network namespaces.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { authorization, eventually } from "@ambit/testkit";
import { connect, echoOn, exchange, twoPods, VIP } from "./testing/traffic.ts";

test("ztunnel carries a service's connection over HBONE and reports it once on each side", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  const ztunnel = await lab.startZtunnel();
  const data = randomBytes(3_000_000);
  const back = await exchange(connect(t, client.netns, VIP, 80), data);
  assert.equal(createHash("sha256").update(back).digest("hex"), createHash("sha256").update(data).digest("hex"));
  await eventually(() => ztunnel.accessLines().filter((line) => line.includes("connection complete")).length === 2);
  const outbound = ztunnel.accessLines().find((line) => line.includes("complete") && line.includes('direction="outbound"'));
  assert.match(
    outbound ?? "",
    /\tinfo\taccess\tconnection complete\tsrc\.addr=10\.79\.0\.1:\d+ src\.workload="client" src\.namespace="default" src\.identity="spiffe:\/\/cluster\.local\/ns\/default\/sa\/client" src\.cluster="Kubernetes" dst\.addr=10\.79\.0\.2:15008 dst\.hbone_addr=10\.79\.0\.2:8080 dst\.service="web\.default\.svc\.cluster\.local" dst\.workload="server" dst\.namespace="default" dst\.identity="spiffe:\/\/cluster\.local\/ns\/default\/sa\/server" dst\.cluster="Kubernetes" direction="outbound" bytes_sent=3000000 bytes_recv=3000000 duration="\d+ms"$/,
  );
  const metrics = await ztunnel.metrics();
  for (const reporter of ["source", "destination"]) {
    assert.match(
      metrics,
      new RegExp(
        `istio_tcp_connections_closed_total\\{reporter="${reporter}".*response_flags="-",connection_security_policy="mutual_tls".*\\} 1`,
      ),
    );
    assert.match(metrics, new RegExp(`istio_tcp_received_bytes_total\\{reporter="${reporter}".*\\} 3000000`));
  }
});

test("ztunnel refuses by policy with the policy's name, and closes what a later policy forbids", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  const ztunnel = await lab.startZtunnel();
  const open = connect(t, client.netns, VIP, 80);
  const cut = new Promise<string>((resolve) => open.on("error", (error) => resolve((error as NodeJS.ErrnoException).code ?? "")));
  open.write("hello");
  await new Promise((resolve) => open.once("data", resolve));
  lab.controlPlane.setPolicy(
    authorization()
      .named("deny-8080")
      .inNamespace("default")
      .denying()
      .rule({ destinationPorts: [8080] })
      .build(),
  );
  assert.equal(await cut, "ECONNRESET");
  await assert.rejects(exchange(connect(t, client.netns, VIP, 80), Buffer.from("x")), { code: "ECONNRESET" });
  await eventually(() =>
    /error="connection closed due to policy change: explicitly denied by: default\/deny-8080"/.test(ztunnel.log()),
  );
  await eventually(() =>
    /error="connection closed due to policy rejection: explicitly denied by: default\/deny-8080"/.test(ztunnel.log()),
  );
  await eventually(() => /error="http status: 401 Unauthorized"/.test(ztunnel.log()));
  assert.match(await ztunnel.metrics(), /istio_tcp_connections_failed_total\{reporter="destination".*response_flags="DENY"/);
});
