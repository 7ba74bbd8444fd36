// For tests: applications in pods, connections between them, and what discovery says of both.
import { once } from "node:events";
import { createServer, type Server, Socket } from "node:net";
import type { TestContext } from "node:test";
import type { IpAddress } from "@ambit/core";
import { type Netns, runInNetns } from "@ambit/linux";
import { connectTcp } from "@ambit/linux/syscalls";
import { service, type WorkloadBuilder, workload } from "@ambit/testkit";
import { createNodeLab, type NodeLab, type TestPod } from "./node-lab.ts";

export const VIP = "10.96.0.50";
export const VIP6 = "fd96::50";

/** Client and server pods of one node, with the service `web` in front of the server. */
export async function twoPods(t: TestContext): Promise<{ lab: NodeLab; client: TestPod; server: TestPod }> {
  const lab = await createNodeLab(t);
  const client = await lab.addPod("client", 1);
  const server = await lab.addPod("server", 2);
  lab.controlPlane.setWorkload(
    workloadOf(client).build(),
    workloadOf(server).serving("default/web.default.svc.cluster.local", { 80: 8080 }).build(),
  );
  lab.controlPlane.setService(service().named("web").at(VIP, VIP6).onPorts({ 80: 8080 }).build());
  lab.controlPlane.setPolicy();
  return { lab, client, server };
}

export function workloadOf(pod: TestPod): WorkloadBuilder {
  return workload().named(pod.name).at(pod.ip, pod.ip6).as(pod.serviceAccount).onNode("n1").speaking("hbone");
}

/** An application; every connection is given to `onConnection`, and cut when the test ends. */
export async function serveOn(
  t: TestContext,
  netns: Netns,
  port: number,
  onConnection: (socket: Socket) => void,
): Promise<{ close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    onConnection(socket);
  });
  const listening = once(server, "listening");
  runInNetns(netns, () => server.listen(port));
  await listening;
  const close = async () => {
    if (!server.listening) return;
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  };
  t.after(close);
  return { close };
}

/** Echoes; what arrives ends when the client has ended. */
export function echoOn(t: TestContext, netns: Netns, port: number): Promise<{ close(): Promise<void> }> {
  return serveOn(t, netns, port, (socket) => socket.pipe(socket));
}

/** Says its name and ends. */
export function nameOn(t: TestContext, netns: Netns, port: number, name: string): Promise<{ close(): Promise<void> }> {
  return serveOn(t, netns, port, (socket) => socket.end(name));
}

export function connect(t: TestContext, netns: Netns, ip: string, port: number): Socket {
  const socket = new Socket({ fd: connectTcp({ netns, remote: { ip: ip as IpAddress, port } }), allowHalfOpen: true });
  // Who waits for something learns of a cut by a listener of its own; at the end of a test nobody waits.
  socket.on("error", () => socket.destroy());
  t.after(() => socket.destroy());
  return socket;
}

/** Sends, ends, and gives everything that comes back until the other side ends. Rejects when the connection is cut. */
export function exchange(socket: Socket, data: Buffer | string): Promise<Buffer> {
  const received = receiveAll(socket);
  socket.end(data);
  return received;
}

export function receiveAll(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("end", () => resolve(Buffer.concat(chunks)));
    socket.on("error", reject);
  });
}

/** Waits for the next bytes. */
export function receive(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      socket.off("data", onData).off("error", onError).off("end", onEnd);
      act();
    };
    const onData = (data: Buffer) => settle(() => resolve(data));
    const onError = (error: Error) => settle(() => reject(error));
    const onEnd = () => settle(() => reject(new Error("The connection has ended")));
    socket.on("data", onData).on("error", onError).on("end", onEnd);
  });
}

/** The errno that a connection is cut with; rejects when it ends cleanly. */
export function cutOf(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.on("error", (error) => resolve((error as NodeJS.ErrnoException).code ?? error.message));
    socket.on("end", () => reject(new Error("The connection has ended cleanly")));
    socket.resume();
  });
}
