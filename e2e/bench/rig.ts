// The rig: pairs of network namespaces joined by veth, servers in the second, certificates of one root, files in one directory.
import { type ChildProcess, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { endProcess, runIn, startIn } from "./processes.ts";

export const CLIENT_IP = "10.77.0.1";
export const SERVER_IP = "10.77.0.2";
/** The service's address, which no host has: clients dial it, and each proxy gets the connection by redirection, as in a mesh. */
export const SERVICE_IP = "10.96.77.1";
export const HTTP_PORT = 8080;
export const BULK_PORT = 5201;
/** Bytes of the HTTP response's body. */
const BODY_BYTES = 1024;

export interface NetnsPair {
  readonly client: string;
  readonly server: string;
}

export class Rig {
  readonly directory: string;
  readonly #children: ChildProcess[] = [];
  readonly #namespaces: string[] = [];

  constructor(directory: string) {
    this.directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Two namespaces joined by a veth pair; the HTTP and bulk servers run in the second. */
  async pair(name: string): Promise<NetnsPair> {
    const pair = { client: this.namespace(`${name}-a`), server: this.namespace(`${name}-b`) };
    ip("link", "add", "eth0", "netns", pair.client, "type", "veth", "peer", "name", "eth0", "netns", pair.server);
    for (const [netns, address] of [
      [pair.client, CLIENT_IP],
      [pair.server, SERVER_IP],
    ] as const) {
      ip("-n", netns, "address", "add", `${address}/24`, "dev", "eth0");
      ip("-n", netns, "link", "set", "eth0", "up");
    }
    this.#startServers(name, pair.server);
    await eventuallyListening(pair.server, HTTP_PORT);
    await eventuallyListening(pair.server, BULK_PORT);
    return pair;
  }

  /**
   * Redirects what clients send to the service to a proxy's ports. Without it the others would be spared what a transparent proxy costs:
   * the hop through the kernel's translation, with segments of the network's size.
   */
  redirect(netns: string, ports: { readonly http: number; readonly bulk: number }): void {
    this.routeService(netns);
    for (const [port, to] of [
      [HTTP_PORT, ports.http],
      [BULK_PORT, ports.bulk],
    ]) {
      const rule = `-t nat -A OUTPUT -p tcp -d ${SERVICE_IP} --dport ${port} -j REDIRECT --to-ports ${to}`;
      runIn(netns, "iptables", ["-w", ...rule.split(" ")]);
    }
  }

  /** Makes the client's kernel send to the service's address. */
  routeService(netns: string): void {
    ip("-n", netns, "route", "add", "default", "via", SERVER_IP);
  }

  /** Starts a process of the rig; it ends with the rig. */
  start(
    netns: string,
    logName: string,
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): ChildProcess {
    const child = startIn({ netns, logFile: this.path(logName), cwd: this.directory, env }, command, args);
    this.#children.push(child);
    return child;
  }

  /** As `start`, in the rig's own namespace. */
  startHere(logName: string, command: string, args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
    const child = startIn({ netns: undefined, logFile: this.path(logName), cwd: this.directory, env }, command, args);
    this.#children.push(child);
    return child;
  }

  /** A namespace with nothing but loopback; it is deleted with the rig. */
  namespace(name: string): string {
    const netns = `bench-${name}`;
    ip("netns", "add", netns);
    this.#namespaces.push(netns);
    ip("-n", netns, "link", "set", "lo", "up");
    return netns;
  }

  async close(): Promise<void> {
    for (const child of this.#children.reverse()) await endProcess(child);
    for (const netns of this.#namespaces) ip("netns", "delete", netns);
  }

  #startServers(name: string, netns: string): void {
    const conf = this.path(`web-${name}.conf`);
    writeFileSync(this.path("body.txt"), "x".repeat(BODY_BYTES));
    writeFileSync(
      conf,
      `worker_processes 1; daemon off; pid ${this.path(`web-${name}.pid`)}; error_log ${this.path(`web-${name}.err`)};
events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000; client_body_temp_path ${this.directory}; proxy_temp_path ${this.directory};
  fastcgi_temp_path ${this.directory}; uwsgi_temp_path ${this.directory}; scgi_temp_path ${this.directory};
  server { listen ${SERVER_IP}:${HTTP_PORT} backlog=4096; root ${this.directory}; location / { try_files /body.txt =404; } } }
`,
    );
    this.start(netns, `web-${name}.log`, "nginx", ["-p", this.directory, "-c", conf]);
    this.start(netns, `iperf-${name}.log`, "iperf3", ["-s", "-B", SERVER_IP, "-p", String(BULK_PORT)]);
  }
}

/** Waits until something listens on the TCP port in the namespace. */
export async function eventuallyListening(netns: string, port: number, timeoutMs = 15_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (runIn(netns, "ss", ["-Hltn", `sport = :${port}`]).trim() !== "") return;
    await sleep(50);
  }
  throw new Error(`Nothing listens on port ${port} in ${netns} after ${timeoutMs} ms; see the logs of the rig`);
}

export function ip(...args: readonly string[]): void {
  const result = spawnSync("ip", args, { encoding: "utf8" });
  if (result.status !== 0) throw new Error(`ip ${args.join(" ")}: ${result.stderr}`);
}
