// What a tunnel costs: two proxies in two processes on loopback, the application and its server in this one.
// Run with: node packages/hbone/bench/tunnel.ts [GiB] [--prof]   (--prof writes *.cpuprofile of both proxies here)
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { IpAddress, SocketAddress } from "@ambit/core";
import { createEngine, type TcpConnection } from "@ambit/engine";
import { createTestAuthority } from "@ambit/testkit";
import type { ProxyPorts, ProxyTask } from "./proxy.ts";

const LOOPBACK = "127.0.0.1" as IpAddress;
const NEAR = "spiffe://cluster.local/ns/bench/sa/near";
const FAR = "spiffe://cluster.local/ns/bench/sa/far";
const TOTAL_BYTES = Number(process.argv[2] ?? 2) * 2 ** 30;
const STREAMS = 50_000;
const CONNECTIONS = 10_000;
const AT_ONCE = 50;

const engine = createEngine();
const authority = createTestAuthority();

function turnUntil(done: () => boolean): void {
  while (!done()) engine.poll(100);
}

function dial(port: number): TcpConnection {
  let connection: TcpConnection | undefined;
  engine.dialTcp({ netns: undefined, remote: { ip: LOOPBACK, port }, timeoutMs: 5_000 }, (result) => {
    if (result.kind === "failed") throw result.error;
    connection = result.connection;
  });
  turnUntil(() => connection !== undefined);
  return connection as TcpConnection;
}

class RunningProxy {
  readonly address: SocketAddress;
  readonly #control: TcpConnection;
  #reply: number | undefined;

  constructor(ports: ProxyPorts) {
    this.address = { ip: LOOPBACK, port: ports.front };
    this.#control = dial(ports.control);
    this.#control.handle({
      onData: (chunk) => {
        this.#reply = Number(Buffer.from(chunk).toString());
      },
      onEnd: () => undefined,
      onError: () => undefined,
    });
  }

  ask(command: string): number {
    this.#reply = undefined;
    this.#control.write(Buffer.from(`${command}\n`));
    turnUntil(() => this.#reply !== undefined);
    return this.#reply ?? 0;
  }

  exit(): void {
    this.#control.write(Buffer.from("exit\n"));
    engine.poll(100);
  }
}

async function start(
  role: "near" | "far",
  far: SocketAddress,
  target: SocketAddress,
): Promise<{ proxy: RunningProxy; exit: Promise<unknown> }> {
  const profile = process.argv.includes("--prof") ? ["--cpu-prof", `--cpu-prof-name=${role}.cpuprofile`] : [];
  const child = spawn(process.execPath, [...profile, fileURLToPath(new URL("proxy.ts", import.meta.url))], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [own, expected] = role === "near" ? [NEAR, FAR] : [FAR, NEAR];
  const task: ProxyTask = { role, pem: authority.issue({ uris: [own] }), expected, far, target };
  child.stdin.end(JSON.stringify(task));
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return { proxy: new RunningProxy(JSON.parse(line.toString()) as ProxyPorts), exit: once(child, "exit") };
}

let received = 0;
const server = engine.listenTcp({ netns: undefined, address: LOOPBACK, port: 0 }, (connection) => {
  connection.handle({
    onData: (chunk) => {
      received += chunk.length;
    },
    onEnd: () => connection.end(),
    onError: () => undefined,
  });
});
const { proxy: far, exit: farExit } = await start("far", server.local, server.local);
const { proxy: near, exit: nearExit } = await start("near", far.address, server.local);

/** Runs `work` and prints its rate, and what each proxy used for it. */
function measure(title: string, amount: number, unit: string, costUnit: string, costPer: number, work: () => void): void {
  const before = [near.ask("cpu"), far.ask("cpu")];
  const start = performance.now();
  work();
  const seconds = (performance.now() - start) / 1000;
  const [nearCost, farCost] = [near.ask("cpu"), far.ask("cpu")].map(
    (after, i) => (((after - (before[i] ?? 0)) / 1e6) * costPer) / amount,
  );
  const costs = `near ${nearCost?.toFixed(3)} ${costUnit}, far ${farCost?.toFixed(3)} ${costUnit}`;
  console.log(`${title.padEnd(44)} ${(amount / seconds).toFixed(0).padStart(8)} ${unit.padEnd(10)} ${costs}`);
}

function bulk(): void {
  const connection = dial(near.address.port);
  const block = Buffer.alloc(256 * 1024, "x");
  let sent = 0;
  const send = (): void => {
    while (sent < TOTAL_BYTES) {
      sent += block.length;
      if (!connection.write(block)) return;
    }
    connection.end();
  };
  let ended = false;
  connection.handle({
    onData: () => undefined,
    onEnd: () => {
      ended = true;
    },
    onError: (error) => {
      throw error;
    },
    onDrain: send,
  });
  received = 0;
  send();
  turnUntil(() => ended);
  if (received < TOTAL_BYTES) throw new Error(`Only ${received} bytes have arrived`);
}

function shortConnections(): void {
  let started = 0;
  let ended = 0;
  const next = (): void => {
    if (started === CONNECTIONS) return;
    started++;
    engine.dialTcp({ netns: undefined, remote: near.address, timeoutMs: 5_000 }, (result) => {
      if (result.kind === "failed") throw result.error;
      const { connection } = result;
      connection.handle({
        onData: () => undefined,
        onEnd: () => {
          ended++;
          next();
        },
        onError: (error) => {
          throw error;
        },
      });
      connection.write(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
      connection.end();
    });
  };
  for (let i = 0; i < AT_ONCE; i++) next();
  turnUntil(() => ended === CONNECTIONS);
}

near.ask("streams 2000");
measure("bytes through one tunnel", TOTAL_BYTES / 2 ** 20, "MiB/s", "CPU s/GiB", 1024, bulk);
measure("tunnels opened and ended, 50 at once", STREAMS, "tunnels/s", "CPU ms", 1e3, () => near.ask(`streams ${STREAMS}`));
measure("TCP connections through tunnels, 50 at once", CONNECTIONS, "conn/s", "CPU ms", 1e3, shortConnections);
far.exit();
near.exit();
await Promise.all([nearExit, farExit]);
process.exit(0);
