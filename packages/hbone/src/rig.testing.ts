// Two proxies on one driven loop: applications connect to the near one, tunnels lead to the far one and on to a real TCP server.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import net from "node:net";
import type { TestContext } from "node:test";
import { asSpiffeId, type IpAddress, type MeshError, type SocketAddress, type SpiffeId } from "@ambit/core";
import { type Credentials, createEngine, driveEngine, type EngineLoop, type Relay, type RelayEnd, relay } from "@ambit/engine";
import { createTestAuthority, eventually } from "@ambit/testkit";
import type { HboneServerSession, HeaderList, IncomingTunnel, OpenTunnelOptions, OpenTunnelResult, Tunnel } from "./contract.ts";
import { createHbonePool, type HbonePoolOptions } from "./pool.ts";
import { acceptHbone } from "./server.ts";

export const LOOPBACK = "127.0.0.1" as IpAddress;
export const CLIENT = spiffe("spiffe://cluster.local/ns/a/sa/client");
export const SERVER = spiffe("spiffe://cluster.local/ns/b/sa/server");
export const authority = createTestAuthority();

export function spiffe(text: string): SpiffeId {
  const id = asSpiffeId(text);
  assert.ok(id !== undefined);
  return id;
}

export function startLoop(t: TestContext): EngineLoop {
  const engine = createEngine();
  const driver = driveEngine(engine);
  t.after(() => driver.close());
  return engine;
}

export interface FarOptions {
  readonly credentials?: Credentials;
  readonly handshakeTimeoutMs?: number;
  /** Default: connects to the authority and relays. */
  readonly onTunnel?: (tunnel: IncomingTunnel) => void;
}

/** The proxy that accepts tunnels. */
export class FarProxy {
  readonly address: SocketAddress;
  readonly sessions: HboneServerSession[] = [];
  readonly tunnels: IncomingTunnel[] = [];
  readonly failures: MeshError[] = [];
  readonly ends: RelayEnd[] = [];
  readonly relays: Relay[] = [];
  closed = 0;
  readonly #engine: EngineLoop;

  constructor(engine: EngineLoop, options: FarOptions = {}) {
    this.#engine = engine;
    const credentials = options.credentials ?? engine.credentials(authority.issue({ uris: [SERVER] }));
    const onTunnel = options.onTunnel ?? ((tunnel) => this.connect(tunnel));
    const listener = engine.listenTcp({ netns: undefined, address: LOOPBACK, port: 0 }, (connection) => {
      this.sessions.push(
        acceptHbone(connection, {
          credentials,
          handshakeTimeoutMs: options.handshakeTimeoutMs ?? 5_000,
          onTunnel: (tunnel) => {
            this.tunnels.push(tunnel);
            onTunnel(tunnel);
          },
          onFailed: (error) => this.failures.push(error),
          onClosed: () => {
            this.closed++;
          },
        }),
      );
    });
    this.address = listener.local;
  }

  connect(tunnel: IncomingTunnel): void {
    const port = Number(tunnel.authority.split(":")[1]);
    const dial = this.#engine.dialTcp({ netns: undefined, remote: { ip: LOOPBACK, port }, timeoutMs: 5_000 }, (result) => {
      if (result.kind === "failed") {
        tunnel.refuse(503);
        return;
      }
      const accepted = tunnel.accept([["baggage", "k8s.namespace.name=b"]]);
      this.relays.push(relay(result.connection, accepted, (end) => this.ends.push(end)));
    });
    tunnel.onCancelled(() => dial.cancel());
  }
}

/** The proxy that opens tunnels: one pool, one front port. */
export class NearProxy {
  readonly pool;
  readonly credentials: Credentials;
  readonly results: OpenTunnelResult[] = [];
  readonly ends: RelayEnd[] = [];
  readonly relays: Relay[] = [];
  readonly #engine: EngineLoop;
  readonly #far: FarProxy;

  constructor(engine: EngineLoop, far: FarProxy, options: HbonePoolOptions & { readonly credentials?: Credentials } = {}) {
    this.#engine = engine;
    this.#far = far;
    this.pool = createHbonePool(engine, options);
    this.credentials = options.credentials ?? engine.credentials(authority.issue({ uris: [CLIENT] }));
  }

  options(authority: string, overrides: Partial<OpenTunnelOptions> = {}): OpenTunnelOptions {
    return {
      netns: undefined,
      credentials: this.credentials,
      expectedIdentities: [SERVER],
      remote: this.#far.address,
      sourceIp: LOOPBACK,
      connectTimeoutMs: 5_000,
      authority,
      headers: [],
      ...overrides,
    };
  }

  open(authority: string, overrides: Partial<OpenTunnelOptions> = {}): Promise<OpenTunnelResult> {
    return new Promise((resolve, reject) => {
      let returned = false;
      let isDone = false;
      this.pool.openTunnel(this.options(authority, overrides), (result) => {
        if (isDone) reject(new Error("done came twice"));
        if (!returned) reject(new Error("done came before openTunnel had returned"));
        isDone = true;
        resolve(result);
      });
      returned = true;
    });
  }

  async tunnel(authority: string, overrides: Partial<OpenTunnelOptions> = {}): Promise<Tunnel> {
    const result = await this.open(authority, overrides);
    assert.ok(result.kind === "open", result.kind === "failed" ? result.error.message : `refused`);
    return result.tunnel;
  }

  /** A port whose connections all lead through a tunnel to `port` behind the far proxy. */
  front(port: number, headers: HeaderList = []): number {
    const listener = this.#engine.listenTcp({ netns: undefined, address: LOOPBACK, port: 0 }, (connection) => {
      this.pool.openTunnel(this.options(`127.0.0.1:${port}`, { headers }), (result) => {
        this.results.push(result);
        if (result.kind === "open") this.relays.push(relay(connection, result.tunnel, (end) => this.ends.push(end)));
        else connection.reset();
      });
    });
    return listener.local.port;
  }
}

/** What came through a tunnel that is read by a handler. */
export class Reader {
  readonly chunks: Buffer[] = [];
  ended = false;
  error: MeshError | undefined;
  drains = 0;

  constructor(tunnel: Tunnel) {
    tunnel.handle({
      onData: (chunk) => this.chunks.push(Buffer.from(chunk)),
      onEnd: () => {
        this.ended = true;
      },
      onError: (error) => {
        assert.equal(this.error, undefined, "onError came twice");
        this.error = error;
      },
      onDrain: () => {
        this.drains++;
      },
    });
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }
}

/** A TCP server; its connections are destroyed with the test. */
export async function tcpServer(
  t: TestContext,
  options: net.ServerOpts,
  onConnection: (socket: net.Socket) => void,
): Promise<number> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer(options, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    onConnection(socket);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as net.AddressInfo).port;
}

/** A process that listens and never accepts, its queue full: the kernel drops every further SYN. */
export async function deafServer(t: TestContext): Promise<number> {
  const code = `const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    require("node:fs").writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  })`;
  const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const port = await new Promise<number>((resolve) => child.stdout.once("data", (data) => resolve(Number(data))));
  let full = false;
  while (!full) {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    t.after(() => socket.destroy());
    full = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(false));
      setTimeout(() => resolve(socket.connecting), 200);
    });
  }
  return port;
}

export function tcpEcho(t: TestContext): Promise<number> {
  return tcpServer(t, { allowHalfOpen: true }, (socket) => socket.pipe(socket));
}

export function tcpClient(t: TestContext, port: number): net.Socket {
  const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  t.after(() => socket.destroy());
  return socket;
}

export { eventually };
