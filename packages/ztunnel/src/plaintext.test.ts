// Connections without HBONE: from outside the mesh, to outside the mesh, and those that nobody answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { authorization, eventually } from "@ambit/testkit";
import { connect, echoOn, exchange, twoPods, VIP, workloadOf } from "./testing/traffic.ts";

test("ztunnel passes plaintext of an outsider to a pod without policies, and reports it without an identity", async (t) => {
  const { lab, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  const outsider = await lab.addPod("outsider", 9, { meshed: false });
  const ztunnel = await lab.startZtunnel();
  assert.equal(String(await exchange(connect(t, outsider.netns, server.ip, 8080), "plain")), "plain");
  const line = await eventually(() => ztunnel.accessLines().find((each) => each.includes("connection complete")) ?? false);
  assert.match(
    line,
    /\tinfo\taccess\tconnection complete\tsrc\.addr=10\.79\.0\.9:\d+ dst\.addr=10\.79\.0\.2:8080 dst\.service="web\.default\.svc\.cluster\.local" dst\.workload="server" dst\.namespace="default" dst\.cluster="Kubernetes" direction="inbound" bytes_sent=5 bytes_recv=5 duration="\d+ms"$/,
  );
  const metrics = await ztunnel.metrics();
  assert.match(
    metrics,
    /connections_closed_total\{reporter="destination".*source_principal="unknown".*destination_principal="spiffe:\/\/cluster\.local\/ns\/default\/sa\/server".*response_flags="-",connection_security_policy="unknown".*\} 1/,
  );
});

test("ztunnel refuses plaintext where mutual TLS is strict, and lets HBONE pass", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  const outsider = await lab.addPod("outsider", 9, { meshed: false });
  // What the control plane makes of PeerAuthentication STRICT.
  const strict = authorization().named("istio_converted_static_strict").inNamespace("istio-system").forSelector().denying();
  lab.controlPlane.setPolicy(strict.rule({ notPrincipals: ["*"] }).build());
  lab.controlPlane.setWorkload(
    workloadOf(server)
      .serving("default/web.default.svc.cluster.local", { 80: 8080 })
      .underPolicies("istio-system/istio_converted_static_strict")
      .build(),
  );
  const ztunnel = await lab.startZtunnel();
  await assert.rejects(exchange(connect(t, outsider.netns, server.ip, 8080), "plain"), { code: "ECONNRESET" });
  const denial =
    'error="connection closed due to policy rejection: explicitly denied by: istio-system/istio_converted_static_strict"';
  await eventually(() => ztunnel.accessLines().some((line) => line.includes("\terror\t") && line.includes(denial)));
  assert.match(await ztunnel.metrics(), /connections_failed_total\{reporter="destination".*response_flags="DENY"/);
  assert.equal(String(await exchange(connect(t, client.netns, VIP, 80), "tls")), "tls");
});

test("ztunnel passes a pod's connections to outside the mesh as they are, known to discovery or not", async (t) => {
  const { lab, client } = await twoPods(t);
  const known = await lab.addPod("known", 8, { meshed: false });
  const stranger = await lab.addPod("stranger", 9, { meshed: false });
  lab.controlPlane.setWorkload(workloadOf(known).speaking("none").build());
  await echoOn(t, known.netns, 7000);
  await echoOn(t, stranger.netns, 7000);
  const ztunnel = await lab.startZtunnel();
  for (const pod of [known, stranger]) {
    assert.equal(String(await exchange(connect(t, client.netns, pod.ip, 7000), pod.name)), pod.name);
  }
  const lines = await eventually(() => {
    const complete = ztunnel.accessLines().filter((line) => line.includes("connection complete"));
    return complete.length === 2 && complete;
  });
  const source = 'src\\.addr=10\\.79\\.0\\.1:\\d+ src\\.workload="client" src\\.namespace="default" src\\.cluster="Kubernetes"';
  const toKnown = 'dst\\.addr=10\\.79\\.0\\.8:7000 dst\\.workload="known" dst\\.namespace="default" dst\\.cluster="Kubernetes"';
  assert.match(lines[0] ?? "", new RegExp(`${source} ${toKnown} direction="outbound" bytes_sent=5`));
  assert.match(lines[1] ?? "", new RegExp(`${source} dst\\.addr=10\\.79\\.0\\.9:7000 direction="outbound" bytes_sent=8`));
});

test("ztunnel says that a destination outside the mesh refused, and cuts the client", async (t) => {
  const { lab, client } = await twoPods(t);
  const stranger = await lab.addPod("stranger", 9, { meshed: false });
  const ztunnel = await lab.startZtunnel();
  await assert.rejects(exchange(connect(t, client.netns, stranger.ip, 7000), "x"), { code: "ECONNRESET" });
  await eventually(() =>
    ztunnel
      .accessLines()
      .some((line) => line.includes("\terror\t") && line.includes('error="io error: Connection refused (os error 111)"')),
  );
  assert.match(await ztunnel.metrics(), /connections_failed_total\{reporter="source".*response_flags="CONNECT".*\} 1/);
});

test("ztunnel answers 503 when the application of a pod refuses, on HBONE and on plaintext", async (t) => {
  const { lab, client, server } = await twoPods(t);
  const outsider = await lab.addPod("outsider", 9, { meshed: false });
  const ztunnel = await lab.startZtunnel();
  await assert.rejects(exchange(connect(t, client.netns, VIP, 80), "x"), { code: "ECONNRESET" });
  await assert.rejects(exchange(connect(t, outsider.netns, server.ip, 8080), "x"), { code: "ECONNRESET" });
  const has = (direction: string, error: string) =>
    eventually(() =>
      ztunnel.accessLines().some((line) => line.includes(`direction="${direction}"`) && line.endsWith(`error="${error}"`)),
    );
  await has("outbound", "http status: 503 Service Unavailable");
  await has("inbound", "connection failed: Connection refused (os error 111)");
  const metrics = await ztunnel.metrics();
  assert.match(
    metrics,
    /connections_failed_total\{reporter="source".*response_flags="CONNECT",connection_security_policy="mutual_tls".*\} 1/,
  );
  for (const policy of ["mutual_tls", "unknown"]) {
    const failed = `connections_failed_total\\{reporter="destination".*response_flags="CONNECT",connection_security_policy="${policy}".*\\} 1`;
    assert.match(metrics, new RegExp(failed));
  }
});

test("ztunnel refuses connections to its own ports", async (t) => {
  const { lab, client, server } = await twoPods(t);
  const ztunnel = await lab.startZtunnel();
  for (const port of [15001, 15006]) {
    await assert.rejects(exchange(connect(t, client.netns, server.ip, port), "x"), { code: "ECONNRESET" });
  }
  await eventually(
    () => ztunnel.accessLines().filter((line) => line.includes("\twarn\t") || line.includes("\terror\t")).length >= 2,
  );
});
