// The cluster's DNS server, over UDP and TCP, inside the control plane's namespace.
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { ipToBytes, type Logger, parseIp } from "@ambit/core";
import { openNetns, runInNetns } from "@ambit/linux";
import { netnsPath } from "../network/ip-batch.ts";
import { type Answer, encodeAnswer, parseQuery, RCODE, TYPE_A, TYPE_AAAA } from "./message.ts";

const TTL_S = 5;
const UDP_LIMIT = 512;
const TCP_LIMIT = 65_535;
const TCP_IDLE_MS = 10_000;
export const DNS_PORT = 53;

/** All addresses of a name, or undefined when there is no such name. */
export type LookUp = (name: string) => readonly string[] | undefined;

export class DnsServer {
  readonly #lookUp: LookUp;
  readonly #logger: Logger;
  readonly #connections = new Set<Socket>();
  #udp: DatagramSocket | undefined;
  #tcp: Server | undefined;

  constructor(lookUp: LookUp, logger: Logger) {
    this.#lookUp = lookUp;
    this.#logger = logger;
  }

  /** @param netns name of the namespace to listen in */
  async start(netns: string): Promise<void> {
    // The address is one already, so the answer comes at once: the socket must be made while the thread is inside.
    const udp = createSocket({ type: "udp6", lookup: (host, _options, done) => done(null, host, 6) });
    const tcp = createServer((socket) => this.#serve(socket));
    const listening = Promise.all([once(udp, "listening"), once(tcp, "listening")]);
    const opened = openNetns(netnsPath(netns));
    try {
      runInNetns(opened, () => {
        udp.bind(DNS_PORT);
        tcp.listen(DNS_PORT);
      });
    } finally {
      opened.close();
    }
    udp.on("message", (message, { port, address }) => {
      const answer = this.answer(message, UDP_LIMIT);
      if (answer !== undefined) udp.send(answer, port, address);
    });
    await listening;
    udp.on("error", (error) => this.#logger.warn("A DNS answer could not be sent", { error }));
    this.#udp = udp;
    this.#tcp = tcp;
  }

  close(): void {
    this.#udp?.close();
    this.#tcp?.close();
    for (const socket of this.#connections) socket.destroy();
  }

  /** Undefined for what is no query. */
  answer(message: Buffer, limit: number): Buffer | undefined {
    const query = parseQuery(message);
    return query === undefined ? undefined : encodeAnswer(query, this.#resolve(query.name, query.type), limit);
  }

  #resolve(name: string, type: number): Answer {
    const found = this.#lookUp(name);
    if (found === undefined) return { rcode: RCODE.nameError, type, records: [], ttlS: TTL_S };
    const isWanted = (ip: string) => (type === TYPE_A && !ip.includes(":")) || (type === TYPE_AAAA && ip.includes(":"));
    return { rcode: RCODE.noError, type, records: shuffled(found.filter(isWanted)).map(wireForm), ttlS: TTL_S };
  }

  /** Messages come behind their length in two bytes. */
  #serve(socket: Socket): void {
    this.#connections.add(socket);
    let received: Buffer = Buffer.alloc(0);
    socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
    socket.on("close", () => this.#connections.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.on("data", (data: Buffer) => {
      received = Buffer.concat([received, data]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0);
        const answer = this.answer(received.subarray(2, end), TCP_LIMIT);
        received = received.subarray(end);
        if (answer === undefined) return void socket.destroy();
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([length, answer]));
      }
    });
  }
}

/** Clients take the first: shuffling spreads those of a headless Service. */
function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

function wireForm(ip: string): Buffer {
  const parsed = parseIp(ip);
  if (parsed === undefined) throw new TypeError(`${ip} is no IP address`);
  return Buffer.from(ipToBytes(parsed));
}
