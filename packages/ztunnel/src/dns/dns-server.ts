// DNS of one pod on 15053, UDP and TCP: the mesh's own names are answered, everything else is passed to the node's nameservers.
import { DNS_PORT, type IpAddress, type SocketAddress } from "@ambit/core";
import type { Listener, TcpConnection, UdpSocket } from "@ambit/engine";
import type { PodContext } from "../proxy/pod-context.ts";
import type { DnsProtocol, DnsReport, DnsWorkerData } from "../worker-messages.ts";
import { DnsConnection } from "./dns-connection.ts";
import { Forwarder } from "./forwarder.ts";
import { answerLocally } from "./local-answer.ts";
import { type DnsQuery, encodeAnswer, encodeFailure, parseQuery, RCODE, TYPE } from "./message.ts";

/** @source ztunnel src/dns/server.rs TTL_SECONDS */
const TTL_SECONDS = 30;
const QUERY_OPCODE = 0;
const TYPE_NAMES: Readonly<Record<number, string>> = {
  1: "A",
  2: "NS",
  5: "CNAME",
  6: "SOA",
  12: "PTR",
  15: "MX",
  16: "TXT",
  28: "AAAA",
  33: "SRV",
  65: "HTTPS",
  255: "ANY",
};

export class DnsServer {
  readonly #context: PodContext;
  readonly #data: DnsWorkerData;
  readonly #forwarder: Forwarder;
  readonly #listeners: { close(): void }[] = [];
  readonly #sockets: UdpSocket[] = [];
  readonly #connections = new Set<DnsConnection>();
  /** Questions over UDP that wait for their answer. */
  #pending = 0;
  #isDraining = false;

  /** @throws ENGINE_LISTEN_FAILED */
  constructor(context: PodContext, data: DnsWorkerData, addresses: readonly IpAddress[]) {
    const { worker, netns } = context;
    this.#context = context;
    this.#data = data;
    this.#forwarder = new Forwarder(worker.engine, { nameservers: data.nameservers, netns, mark: worker.data.mark });
    try {
      for (const address of addresses) this.#listen(address);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Nothing is left to answer. */
  get isIdle(): boolean {
    return this.#sockets.length === 0 && this.#connections.size === 0;
  }

  /** No new connections; what was asked is answered, and as long as it takes, what comes on the same sockets. */
  drain(): void {
    this.#isDraining = true;
    for (const listener of this.#listeners) listener.close();
    this.#listeners.length = 0;
    this.#closeSocketsWhenIdle();
  }

  close(): void {
    this.drain();
    for (const socket of this.#sockets) socket.close();
    this.#sockets.length = 0;
    for (const connection of [...this.#connections]) connection.close();
    this.#forwarder.close();
  }

  #closeSocketsWhenIdle(): void {
    if (!this.#isDraining || this.#pending > 0) return;
    for (const socket of this.#sockets) socket.close();
    this.#sockets.length = 0;
  }

  #listen(address: IpAddress): void {
    const { worker, netns } = this.#context;
    const options = { netns, address, port: DNS_PORT, mark: worker.data.mark };
    const socket: UdpSocket = worker.engine.bindUdp(options, (data, from) => this.#onDatagram(socket, data, from));
    const listener: Listener = worker.engine.listenTcp(options, (connection) => this.#onConnection(connection));
    this.#sockets.push(socket);
    this.#listeners.push(listener);
  }

  #onDatagram(socket: UdpSocket, data: Uint8Array, from: SocketAddress): void {
    this.#pending++;
    const isAnswered = this.#answer(data.slice(), "udp", (answer) => {
      socket.send(answer, from);
      this.#pending--;
      this.#closeSocketsWhenIdle();
    });
    if (!isAnswered) this.#pending--;
  }

  #onConnection(accepted: TcpConnection): void {
    const connection: DnsConnection = new DnsConnection(this.#context.worker.engine, accepted, {
      onQuestion: (message, reply) => this.#answer(message, "tcp", reply),
      onClosed: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
  }

  /** False: it is nothing that could be answered. */
  #answer(message: Uint8Array, protocol: DnsProtocol, reply: (answer: Uint8Array) => void): boolean {
    const query = parseQuery(message);
    if (query === undefined) return false;
    if (query.isResponse || query.question === undefined) reply(encodeFailure(query, RCODE.formatError));
    else if (query.opcode !== QUERY_OPCODE) reply(encodeFailure(query, RCODE.unsupported));
    else this.#whenKnown(query, protocol, message, reply);
    return true;
  }

  /** The namespace of the pod decides which names it may use; until discovery knows the pod nothing is answered. */
  #whenKnown(query: DnsQuery, protocol: DnsProtocol, message: Uint8Array, reply: (answer: Uint8Array) => void): void {
    const { worker, pod } = this.#context;
    worker.admission.admit(pod, false, (result) => {
      if (result.kind === "admitted") this.#resolve(query, protocol, message, reply);
      else reply(encodeFailure(query, RCODE.serverFailure));
    });
  }

  #resolve(query: DnsQuery, protocol: DnsProtocol, message: Uint8Array, reply: (answer: Uint8Array) => void): void {
    const { question } = query;
    if (question === undefined) return;
    const { worker, pod } = this.#context;
    const family = question.type === TYPE.A ? 4 : question.type === TYPE.AAAA ? 6 : undefined;
    const { network, clusterDomain, ipv6 } = worker.data;
    const names = { namespace: pod.namespace, network, clusterDomain, preferredNamespace: this.#data.preferredNamespace, ipv6 };
    const local =
      family === undefined || !question.isInternet
        ? undefined
        : answerLocally(worker.view, names, { name: question.name, family });
    if (local === undefined) {
      this.#forward(query, protocol, message, reply);
      return;
    }
    const addresses = shuffled(local.addresses, worker.random);
    reply(encodeAnswer(query, RCODE.noError, { addresses, alias: local.alias, ttlSeconds: TTL_SECONDS }, protocol === "udp"));
    this.#report(query, protocol, addresses.length === 0 ? "success (no records)" : "success", undefined);
  }

  /** The answer passes as it is, with its authority section, so that clients may remember what does not exist. */
  #forward(query: DnsQuery, protocol: DnsProtocol, message: Uint8Array, reply: (answer: Uint8Array) => void): void {
    const { engine } = this.#context.worker;
    const startedMs = engine.nowMs();
    this.#forwarder.ask(message, protocol, (answer) => {
      const failed = answer === undefined;
      reply(answer ?? encodeFailure(query, RCODE.serverFailure));
      const result = failed ? "no nameserver has answered" : "forwarded";
      this.#report(query, protocol, result, { failed, durationMs: engine.nowMs() - startedMs });
    });
  }

  #report(query: DnsQuery, protocol: DnsProtocol, result: string, upstream: DnsReport["upstream"]): void {
    const { worker, pod } = this.#context;
    const workload = worker.admission.workloadOf(pod);
    const type = query.question?.type ?? 0;
    worker.post({
      kind: "dns",
      pod: pod.uid,
      queryType: TYPE_NAMES[type] ?? `TYPE${type}`,
      domain: query.question?.name ?? "",
      protocol,
      result,
      canonicalService: workload?.canonicalName || undefined,
      canonicalRevision: workload?.canonicalRevision || undefined,
      upstream,
    });
  }
}

/** So that clients who always take the first record spread over all. */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [result[i], result[j]];
    if (a === undefined || b === undefined) continue;
    result[i] = b;
    result[j] = a;
  }
  return result;
}
