// The node proxy as a process: real connections between real network namespaces.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createServer, type Server, Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { IpAddress } from "@ambit/core";
import { type Netns, runInNetns } from "@ambit/linux";
import { connectTcp } from "@ambit/linux/syscalls";
import { authorization, eventually, service, workload } from "@ambit/testkit";
import { createNodeLab, type NodeLab, type TestPod } from "./testing/node-lab.ts";

const VIP = "10.96.0.50";

/** Client and server pods of one node, with a service in front of the server. */
async function twoPods(t: TestContext): Promise<{ lab: NodeLab; client: TestPod; server: TestPod }> {
  const lab = await createNodeLab(t);
  const client = await lab.addPod("client", 1);
  const server = await lab.addPod("server", 2);
  lab.controlPlane.setWorkload(
    workloadOf(client).build(),
    workloadOf(server).serving("default/web.default.svc.cluster.local", { 80: 8080 }).build(),
  );
  lab.controlPlane.setService(service().named("web").at(VIP).onPorts({ 80: 8080 }).build());
  lab.controlPlane.setPolicy();
  return { lab, client, server };
}

function workloadOf(pod: TestPod) {
  return workload().named(pod.name).at(pod.ip, pod.ip6).as(pod.serviceAccount).onNode("n1").speaking("hbone");
}

/** Echoes; what arrives ends when the client has ended. */
function echoOn(t: TestContext, netns: Netns, port: number): void {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  });
  runInNetns(netns, () => server.listen(port));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
}

function connect(t: TestContext, netns: Netns, ip: string, port: number): Socket {
  const socket = new Socket({ fd: connectTcp({ netns, remote: { ip: ip as IpAddress, port } }), allowHalfOpen: true });
  t.after(() => socket.destroy());
  return socket;
}

/** Sends, ends, and gives everything that comes back until the other side ends. Rejects when the connection is cut. */
function exchange(socket: Socket, data: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("end", () => resolve(Buffer.concat(chunks)));
    socket.on("error", reject);
    socket.end(data);
  });
}

test("ztunnel carries a service's connection over HBONE and reports it once on each side", async (t) => {
  const { lab, client, server } = await twoPods(t);
  echoOn(t, server.netns, 8080);
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
  echoOn(t, server.netns, 8080);
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
