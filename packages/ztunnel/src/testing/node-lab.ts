// For tests: one node whose pods are network namespaces on a bridge, a node agent that is a script, and a ztunnel as a real process.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { decodeZdsAck, decodeZdsHello, encodeZdsRequest } from "@ambit/api";
import type { PodUid } from "@ambit/core";
import {
  type FdChannel,
  listenSeqpacket,
  type Netns,
  openNetns,
  runChecked,
  runCommand,
  type SeqpacketListener,
} from "@ambit/linux";
import { eventually, FakeControlPlane } from "@ambit/testkit";
import { TestCa } from "./test-ca.ts";

export interface TestPod {
  readonly name: string;
  readonly ip: string;
  readonly ip6: string;
  readonly serviceAccount: string;
  readonly netns: Netns;
  readonly netnsPath: string;
}

export interface NodeLab {
  readonly controlPlane: FakeControlPlane;
  readonly ca: TestCa;
  /** A pod of namespace `default` with the redirection rules in place. */
  addPod(name: string, number: number, options?: { readonly meshed?: boolean }): Promise<TestPod>;
  removePod(name: string): Promise<void>;
  /** Takes its namespace away; its address is free then. */
  deletePod(name: string): Promise<void>;
  /** Standard output of every ztunnel so far. */
  logs(): string;
  startZtunnel(env?: Readonly<Record<string, string>>): Promise<Ztunnel>;
}

export interface Ztunnel {
  readonly process: ChildProcess;
  /** Standard output so far. */
  log(): string;
  accessLines(): string[];
  metrics(): Promise<string>;
  dump(): Promise<{ readonly [key: string]: unknown }>;
  /** On the admin port. */
  post(path: string): Promise<string>;
  ready(): Promise<boolean>;
  hasExited(): boolean;
  stop(): Promise<void>;
}

const MAIN = new URL("../main.ts", import.meta.url).pathname;
/** Of names that the mesh does not know; there is one when a test adds a pod of this number. */
const NAMESERVER = "10.79.0.53";
let made = 0;

export async function createNodeLab(t: TestContext): Promise<NodeLab> {
  const id = `${process.pid}-${++made}`;
  const directory = mkdtempSync(join(tmpdir(), "ztunnel-"));
  const bridge = `zt-br-${id}`;
  await ip(["netns", "add", bridge]);
  await ip(["-n", bridge, "link", "add", "br0", "type", "bridge"]);
  await ip(["-n", bridge, "link", "set", "br0", "up"]);
  const ca = await TestCa.start(join(directory, "root.pem"));
  const controlPlane = await new FakeControlPlane().start();
  const agent = new ScriptedAgent(join(directory, "zds.sock"));
  writeFileSync(join(directory, "token"), "a token");
  writeFileSync(join(directory, "resolv.conf"), `nameserver ${NAMESERVER}\n`);
  const pods = new Map<string, TestPod>();
  const running: Ztunnel[] = [];
  t.after(async () => {
    for (const ztunnel of running) await ztunnel.stop();
    agent.close();
    await controlPlane.stop();
    await ca.stop();
    for (const name of [...pods.keys()]) await deletePod(name);
    await ip(["netns", "del", bridge]);
    rmSync(directory, { recursive: true });
  });
  async function deletePod(name: string): Promise<void> {
    const pod = pods.get(name);
    pods.delete(name);
    if (pod === undefined) return;
    pod.netns.close();
    // Whoever still has the namespace open keeps its end of the cable; without the other end the address is out of the way.
    await ip(["-n", bridge, "link", "del", `v${pod.ip.split(".").at(-1)}`]);
    await ip(["netns", "del", `${name}-${id}`]);
  }
  return {
    controlPlane,
    ca,
    async addPod(name, number, { meshed = true } = {}) {
      const namespace = `${name}-${id}`;
      await connectPod(namespace, bridge, number);
      if (meshed) await redirect(namespace);
      const netnsPath = `/run/netns/${namespace}`;
      const netns = openNetns(netnsPath);
      const pod = { name, ip: `10.79.0.${number}`, ip6: `fd79::${number}`, serviceAccount: name, netns, netnsPath };
      pods.set(name, pod);
      if (meshed) await agent.add(pod);
      return pod;
    },
    async removePod(name) {
      await agent.remove(name);
    },
    deletePod,
    logs: () => running.map((ztunnel) => ztunnel.log()).join(""),
    async startZtunnel(env = {}) {
      const before = agent.connections;
      const ztunnel = await startZtunnel({
        NODE_NAME: "n1",
        INPOD_UDS: agent.path,
        XDS_ADDRESS: controlPlane.address,
        XDS_ROOT_CA: ca.rootFile,
        CA_ADDRESS: ca.address,
        CA_ROOT_CA: ca.rootFile,
        AUTH_TOKEN: join(directory, "token"),
        AMBIT_RESOLV_CONF: join(directory, "resolv.conf"),
        ENABLE_ORIG_SRC: "false",
        ZTUNNEL_WORKER_THREADS: "2",
        CONNECTION_TERMINATION_DEADLINE: "3s",
        RUST_LOG: "debug",
        ...env,
      });
      running.push(ztunnel);
      const isTold = async () => agent.connections > before && (await ztunnel.ready());
      await eventually(async () => ztunnel.hasExited() || (await isTold()), { timeoutMs: 15_000 });
      if (ztunnel.hasExited()) throw new Error(`ztunnel has exited:\n${ztunnel.log()}`);
      return ztunnel;
    },
  };
}

async function ip(args: readonly string[]): Promise<void> {
  await runChecked(runCommand, "ip", args);
}

async function connectPod(namespace: string, bridge: string, number: number): Promise<void> {
  await ip(["netns", "add", namespace]);
  await ip(["-n", bridge, "link", "add", `v${number}`, "type", "veth", "peer", "name", "eth0", "netns", namespace]);
  await ip(["-n", bridge, "link", "set", `v${number}`, "master", "br0", "up"]);
  for (const line of [
    "link set lo up",
    "link set eth0 up",
    `address add 10.79.0.${number}/24 dev eth0`,
    `address add fd79::${number}/64 dev eth0 nodad`,
    "route add default via 10.79.0.254",
    "-6 route add default via fd79::fe",
  ]) {
    await ip(["-n", namespace, ...line.split(" ")]);
  }
}

/** The least of what the node agent sets up: everything but marked packets goes to the proxy. */
async function redirect(namespace: string): Promise<void> {
  for (const program of ["iptables", "ip6tables"]) {
    const rules = [
      "-A PREROUTING ! -i lo -p tcp ! --dport 15008 -j REDIRECT --to-ports 15006",
      "-A OUTPUT -p tcp -m mark --mark 1337 -j ACCEPT",
      "-A OUTPUT -p udp -m mark ! --mark 1337 --dport 53 -j REDIRECT --to-ports 15053",
      "-A OUTPUT -p tcp --dport 53 -j REDIRECT --to-ports 15053",
      "-A OUTPUT ! -o lo -p tcp -j REDIRECT --to-ports 15001",
    ];
    for (const rule of rules) {
      await runChecked(runCommand, "ip", ["netns", "exec", namespace, program, "-w", "-t", "nat", ...rule.split(" ")]);
    }
  }
}

/** The node agent's side of the protocol; the newest connection is told of pods. */
class ScriptedAgent {
  readonly path: string;
  connections = 0;
  readonly #listener: SeqpacketListener;
  readonly #pods = new Map<string, TestPod>();
  #work: Promise<void> = Promise.resolve();
  #channels: FdChannel[] = [];

  constructor(path: string) {
    this.path = path;
    this.#listener = listenSeqpacket(path);
    void this.#accept();
  }

  add(pod: TestPod): Promise<void> {
    this.#pods.set(pod.name, pod);
    return this.#enqueue(() => this.#toNewest((channel) => sendAdd(channel, pod)));
  }

  remove(name: string): Promise<void> {
    this.#pods.delete(name);
    return this.#enqueue(() => this.#toNewest((channel) => request(channel, { kind: "del", uid: uidOf(name) })));
  }

  close(): void {
    this.#listener.close();
    for (const channel of this.#channels) channel.close();
  }

  async #accept(): Promise<void> {
    for await (const channel of this.#listener) await this.#enqueue(() => this.#greet(channel));
  }

  async #greet(channel: FdChannel): Promise<void> {
    const hello = await channel.receive();
    if (hello === undefined) return;
    decodeZdsHello(hello.data);
    for (const pod of this.#pods.values()) await sendAdd(channel, pod);
    await request(channel, { kind: "snapshotSent" });
    this.#channels.push(channel);
    this.connections++;
  }

  async #toNewest(send: (channel: FdChannel) => Promise<void>): Promise<void> {
    const newest = this.#channels.at(-1);
    if (newest !== undefined) await send(newest);
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => undefined);
    return done;
  }
}

export function uidOf(name: string): PodUid {
  return `uid-${name}` as PodUid;
}

function sendAdd(channel: FdChannel, pod: TestPod): Promise<void> {
  const info = { name: pod.name, namespace: "default", serviceAccount: pod.serviceAccount };
  return request(channel, { kind: "add", uid: uidOf(pod.name), info }, pod.netns);
}

async function request(channel: FdChannel, message: Parameters<typeof encodeZdsRequest>[0], netns?: Netns): Promise<void> {
  await channel.send(encodeZdsRequest(message), netns);
  const answer = await channel.receive();
  if (answer === undefined) throw new Error("The proxy closed the connection instead of acknowledging");
  const error = decodeZdsAck(answer.data);
  if (error !== "") throw new Error(`The proxy refused: ${error}`);
}

async function startZtunnel(env: Readonly<Record<string, string>>): Promise<Ztunnel> {
  const ports = { ADMIN_PORT: await freePort(), STATS_PORT: await freePort(), READINESS_PORT: await freePort() };
  const child = spawn(process.execPath, [MAIN], {
    env: { PATH: process.env["PATH"], ...env, ...ports },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stdout.on("data", (data) => (log += String(data)));
  child.stderr.on("data", (data) => (log += String(data)));
  const get = async (port: string, path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`);
  return {
    process: child,
    log: () => log,
    accessLines: () => log.split("\n").filter((line) => line.includes("\taccess\t")),
    metrics: async () => (await get(ports.STATS_PORT, "/metrics")).text(),
    dump: async () => (await (await get(ports.ADMIN_PORT, "/config_dump")).json()) as { readonly [key: string]: unknown },
    post: async (path) => (await fetch(`http://127.0.0.1:${ports.ADMIN_PORT}${path}`, { method: "POST" })).text(),
    async ready() {
      try {
        return (await get(ports.READINESS_PORT, "/healthz/ready")).ok;
      } catch {
        return false;
      }
    },
    hasExited: () => child.exitCode !== null || child.signalCode !== null,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}

async function freePort(): Promise<string> {
  const server: Server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return String(port);
}
