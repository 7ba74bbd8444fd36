// For tests: a node and a pod as two network namespaces joined by a veth pair, and connections inside them.
import { createServer, type Server, Socket } from "node:net";
import type { TestContext } from "node:test";
import type { IpAddress } from "@ambit/core";
import { type CommandOptions, type Netns, openNetns, type RunCommand, runChecked, runCommand, runInNetns } from "@ambit/linux";
import { connectTcp, originalDestination } from "@ambit/linux/syscalls";

export const NODE_IP = { 4: "10.78.0.1", 6: "fd78::1" } as const;
export const POD_IP = { 4: "10.78.0.2", 6: "fd78::2" } as const;

export interface PodLab {
  readonly node: Netns;
  readonly pod: Netns;
  readonly podPath: string;
  /** Runs a command in the node's namespace unless it names another: the agent's point of view. */
  readonly run: RunCommand;
}

let made = 0;

/** Everything is gone when the test ends. */
export async function createPodLab(t: TestContext): Promise<PodLab> {
  const id = `${process.pid}-${++made}`;
  const [nodeName, podName] = [`cni-node-${id}`, `cni-pod-${id}`];
  for (const name of [nodeName, podName]) await runChecked(runCommand, "ip", ["netns", "add", name]);
  const node = openNetns(`/run/netns/${nodeName}`);
  const pod = openNetns(`/run/netns/${podName}`);
  t.after(async () => {
    node.close();
    pod.close();
    for (const name of [podName, nodeName]) await runChecked(runCommand, "ip", ["netns", "del", name]);
  });
  await runChecked(runCommand, "ip", [
    "-n",
    nodeName,
    "link",
    "add",
    "pod",
    "type",
    "veth",
    "peer",
    "name",
    "eth0",
    "netns",
    podName,
  ]);
  await configure(nodeName, "pod", NODE_IP);
  await configure(podName, "eth0", POD_IP);
  await ip(podName, [`route add default via ${NODE_IP[4]}`, `-6 route add default via ${NODE_IP[6]}`]);
  const run: RunCommand = (program, args, options: CommandOptions = {}) => runCommand(program, args, { netns: node, ...options });
  return { node, pod, podPath: `/run/netns/${podName}`, run };
}

async function configure(netns: string, device: string, ips: { readonly 4: string; readonly 6: string }): Promise<void> {
  await ip(netns, [
    "link set lo up",
    `link set ${device} up`,
    `address add ${ips[4]}/24 dev ${device}`,
    `address add ${ips[6]}/64 dev ${device} nodad`,
  ]);
}

async function ip(netns: string, lines: readonly string[]): Promise<void> {
  for (const line of lines) await runChecked(runCommand, "ip", ["-n", netns, ...line.split(" ")]);
}

/** Listens in the namespace and tells each caller on its own line: name, where it meant to go, where it comes from. Then echoes. */
export function answerOn(t: TestContext, netns: Netns, port: number, name: string): void {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    const { ip, port } = originalDestination(descriptorOf(socket));
    socket.write(`${name} ${ip} ${port} ${socket.remoteAddress?.replace("::ffff:", "")}\n`);
    socket.on("data", (data) => socket.write(data));
    socket.on("error", () => socket.destroy());
  });
  runInNetns(netns, () => server.listen(port));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
}

export interface Caller {
  /** The next line from the other side; rejects when the connection breaks or says nothing for a while. */
  nextLine(): Promise<string>;
  send(line: string): void;
}

const PATIENCE_MS = 3000;

/** Connects from inside the namespace. */
export function call(t: TestContext, netns: Netns, ip: string, port: number, mark?: number): Caller {
  const socket = new Socket({ fd: connectTcp({ netns, remote: { ip: ip as IpAddress, port }, mark }) });
  t.after(() => socket.destroy());
  let received = "";
  const waiters: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];
  let failure: Error | undefined;
  socket.on("data", (data) => {
    received += String(data);
    for (let at = received.indexOf("\n"); at >= 0 && waiters.length > 0; at = received.indexOf("\n")) {
      waiters.shift()?.resolve(received.slice(0, at));
      received = received.slice(at + 1);
    }
  });
  const fail = (error: Error) => {
    failure = error;
    for (const waiter of waiters.splice(0)) waiter.reject(error);
  };
  socket.on("error", fail);
  socket.on("end", () => fail(new Error("closed")));
  socket.setTimeout(PATIENCE_MS, () => fail(new Error("timeout")));
  return {
    nextLine: () =>
      new Promise((resolve, reject) => {
        const at = received.indexOf("\n");
        if (at >= 0) {
          resolve(received.slice(0, at));
          received = received.slice(at + 1);
        } else if (failure !== undefined) reject(failure);
        else waiters.push({ resolve, reject });
      }),
    send: (line) => void socket.write(`${line}\n`),
  };
}

function descriptorOf(socket: Socket): number {
  const handle = (socket as unknown as { readonly _handle: { readonly fd: number } })._handle;
  return handle.fd;
}
