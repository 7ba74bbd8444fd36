// One proxy as a process of its own, for the benchmark: near (opens tunnels) or far (accepts them). Asked over a control port.
import { readFileSync, writeSync } from "node:fs";
import { asSpiffeId, type IpAddress, type SocketAddress } from "@ambit/core";
import { type CredentialsPem, createEngine, relay, type TcpConnection } from "@ambit/engine";
import { acceptHbone, createHbonePool, type IncomingTunnel, type OpenTunnelOptions } from "../src/index.ts";

/** What the parent writes to standard input. */
export interface ProxyTask {
  readonly role: "near" | "far";
  readonly pem: CredentialsPem;
  /** Who the other proxy is. */
  readonly expected: string;
  /** Near: where the far proxy listens, and where connections of the front port lead. */
  readonly far: SocketAddress;
  readonly target: SocketAddress;
}

/** What the parent reads from standard output. */
export interface ProxyPorts {
  readonly front: number;
  readonly control: number;
}

const LOOPBACK = "127.0.0.1" as IpAddress;
/** The far proxy answers tunnels to port 9 by itself: no TCP connection behind them. */
const NOWHERE = "127.0.0.1:9";
const AT_ONCE = 50;
const HEADERS = [
  ["baggage", "k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.deployment.name=client"],
  ["forwarded", 'for="10.0.0.1:4711"'],
  ["traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"],
] as const;

const task = JSON.parse(readFileSync(0, "utf8")) as ProxyTask;
const engine = createEngine();
const credentials = engine.credentials(task.pem);
const pool = createHbonePool(engine);
const front = engine.listenTcp({ netns: undefined, address: LOOPBACK, port: 0 }, task.role === "near" ? carry : serve);
const control = engine.listenTcp({ netns: undefined, address: LOOPBACK, port: 0 }, obey);
const ports: ProxyPorts = { front: front.local.port, control: control.local.port };
writeSync(1, `${JSON.stringify(ports)}\n`);
let isOver = false;
while (!isOver) engine.poll(1_000);
engine.close();
// In order, so that a CPU profile is written.
process.exit(0);

function tunnelOptions(authority: string): OpenTunnelOptions {
  const expected = asSpiffeId(task.expected);
  if (expected === undefined) throw new Error(`No identity: ${task.expected}`);
  return {
    netns: undefined,
    credentials,
    expectedIdentities: [expected],
    remote: task.far,
    sourceIp: LOOPBACK,
    connectTimeoutMs: 5_000,
    authority,
    headers: HEADERS,
  };
}

function carry(connection: TcpConnection): void {
  pool.openTunnel(tunnelOptions(`127.0.0.1:${task.target.port}`), (result) => {
    if (result.kind === "open") relay(connection, result.tunnel, () => undefined);
    else connection.reset();
  });
}

function serve(connection: TcpConnection): void {
  acceptHbone(connection, {
    credentials,
    handshakeTimeoutMs: 5_000,
    onTunnel: (tunnel) => (tunnel.authority === NOWHERE ? end(tunnel) : connect(tunnel)),
    // The near proxy's process ends first.
    onFailed: (error) => void (isOver || writeSync(2, `${error.message}\n`)),
    onClosed: () => undefined,
  });
}

function connect(incoming: IncomingTunnel): void {
  const port = Number(incoming.authority.split(":")[1]);
  engine.dialTcp({ netns: undefined, remote: { ip: LOOPBACK, port }, timeoutMs: 5_000 }, (result) => {
    if (result.kind === "connected") relay(result.connection, incoming.accept([]), () => undefined);
    else incoming.refuse(503);
  });
}

function end(incoming: IncomingTunnel): void {
  const tunnel = incoming.accept([]);
  tunnel.handle({ onData: () => undefined, onEnd: () => tunnel.end(), onError: () => undefined });
}

/** Commands: `cpu` gives microseconds used so far; `streams <n>` opens and ends that many tunnels; `exit`. */
function obey(connection: TcpConnection): void {
  const reply = (value: number): void => void connection.write(Buffer.from(`${value}\n`));
  connection.handle({
    onData: (chunk) => {
      const [command, argument] = Buffer.from(chunk).toString().trim().split(" ");
      if (command === "exit") isOver = true;
      else if (command === "streams") openStreams(Number(argument), () => reply(0));
      else reply(cpuMicros());
    },
    onEnd: () => connection.end(),
    onError: () => undefined,
  });
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function openStreams(count: number, done: () => void): void {
  let started = 0;
  let ended = 0;
  const next = (): void => {
    if (started === count) return;
    started++;
    pool.openTunnel(tunnelOptions(NOWHERE), (result) => {
      if (result.kind !== "open") throw new Error(result.kind === "failed" ? result.error.message : "refused");
      const { tunnel } = result;
      tunnel.handle({
        onData: () => undefined,
        onEnd: () => {
          if (++ended === count) done();
          else next();
        },
        onError: (error) => {
          throw error;
        },
      });
      tunnel.end();
    });
  };
  for (let i = 0; i < AT_ONCE; i++) next();
}
