// For tests: a DNS client and a nameserver inside network namespaces, and messages taken apart for comparison.
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { ipFromBytes } from "@ambit/core";
import type { Netns } from "@ambit/linux";
import { bindUdp } from "@ambit/linux/syscalls";
import { LengthPrefixed, withLength } from "../dns/length-prefixed.ts";
import { encodeQuery, TYPE } from "../dns/message.ts";
import { connect, serveOn } from "./traffic.ts";

export interface ReadMessage {
  readonly id: number;
  readonly rcode: number;
  readonly isAuthoritative: boolean;
  readonly isTruncated: boolean;
  readonly answers: readonly { readonly name: string; readonly type: number; readonly ttl: number; readonly data: string }[];
  /** UDP size of the OPT record. */
  readonly ednsBytes: number | undefined;
}

/** Not the reader that is tested: it follows pointers and takes every section. */
export function readMessage(bytes: Uint8Array): ReadMessage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 12;
  const name = (): string => {
    const labels: string[] = [];
    let from = at;
    let isMoved = false;
    for (;;) {
      const length = view.getUint8(from);
      if ((length & 0xc0) === 0xc0) {
        if (!isMoved) at = from + 2;
        isMoved = true;
        from = view.getUint16(from) & 0x3fff;
      } else if (length === 0) {
        if (!isMoved) at = from + 1;
        return labels.join(".");
      } else {
        labels.push(String.fromCharCode(...bytes.subarray(from + 1, from + 1 + length)));
        from += 1 + length;
      }
    }
  };
  for (let i = 0; i < view.getUint16(4); i++) {
    name();
    at += 4;
  }
  const answers: ReadMessage["answers"][number][] = [];
  let ednsBytes: number | undefined;
  for (let i = 0; i < view.getUint16(6) + view.getUint16(8) + view.getUint16(10); i++) {
    const owner = name();
    const type = view.getUint16(at);
    const [size, ttl, length] = [view.getUint16(at + 2), view.getUint32(at + 4), view.getUint16(at + 8)];
    const end = at + 10 + length;
    at += 10;
    if (type === TYPE.OPT) ednsBytes = size;
    else answers.push({ name: owner, type, ttl, data: type === TYPE.CNAME ? name() : String(ipFromBytes(bytes.slice(at, end))) });
    at = end;
  }
  if (at !== bytes.length) throw new RangeError(`${bytes.length - at} bytes are left over`);
  const flags = view.getUint16(2);
  return {
    id: view.getUint16(0),
    rcode: flags & 0xf,
    isAuthoritative: (flags & 0x0400) !== 0,
    isTruncated: (flags & 0x0200) !== 0,
    answers,
    ednsBytes,
  };
}

function udpIn(t: TestContext, netns: Netns, port: number): UdpSocket {
  const socket = createSocket("udp4");
  socket.bind({ fd: bindUdp({ netns, address: "0.0.0.0" as never, port }).fd, exclusive: true });
  t.after(() => socket.close());
  return socket;
}

/** Any address will do: the pod's questions are redirected to its proxy. */
const ANYBODY = "10.96.0.10";

/** Gives the raw answer. */
export async function askUdp(t: TestContext, netns: Netns, message: Uint8Array): Promise<Buffer> {
  const socket = udpIn(t, netns, 0);
  const answer = once(socket, "message") as Promise<[Buffer]>;
  socket.send(message, 53, ANYBODY);
  return (await answer)[0];
}

export function askTcp(t: TestContext, netns: Netns, message: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect(t, netns, ANYBODY, 53);
    const reader = new LengthPrefixed((answer) => resolve(Buffer.from(answer)));
    socket.on("data", (chunk: Buffer) => reader.push(chunk));
    socket.on("error", reject);
    socket.on("end", () => reject(new Error("The connection has ended")));
    socket.write(withLength(message));
  });
}

export async function ask(t: TestContext, netns: Netns, name: string, type: number): Promise<ReadMessage> {
  return readMessage(await askUdp(t, netns, encodeQuery(0x1234, name, type)));
}

/** `undefined` leaves the client without an answer. */
export type Answering = (query: Buffer, protocol: "udp" | "tcp") => Uint8Array | undefined;

export async function nameserverOn(t: TestContext, netns: Netns, answering: Answering): Promise<void> {
  const socket = udpIn(t, netns, 53);
  socket.on("message", (query, from) => {
    const answer = answering(query, "udp");
    if (answer !== undefined) socket.send(answer, from.port, from.address);
  });
  await serveOn(t, netns, 53, (connection) => {
    const reader = new LengthPrefixed((query) => {
      const answer = answering(Buffer.from(query), "tcp");
      if (answer !== undefined) connection.write(withLength(answer));
    });
    connection.on("data", (chunk: Buffer) => reader.push(chunk));
    connection.on("end", () => connection.end());
  });
}

/** A whole answer to a question: header flags, the question as it came, records of A. */
export function answerWith(query: Uint8Array, flags: number, addresses: readonly string[]): Buffer {
  let end = 12;
  while ((query[end] ?? 0) !== 0) end += 1 + (query[end] ?? 0);
  const question = query.slice(12, end + 5);
  const head = Buffer.alloc(12);
  head.set(query.subarray(0, 2));
  head.writeUInt16BE(0x8180 | flags, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(addresses.length, 6);
  const records = addresses.map((ip) => Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...ip.split(".").map(Number)]));
  return Buffer.concat([head, question, ...records]);
}
