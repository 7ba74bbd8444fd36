// Captured frames made up for tests: byte streams cut into TCP segments.
import { ipFamily, ipToBytes, parseSocketAddress, type SocketAddress } from "@ambit/core";
import type { CapturedFrame } from "./frames.ts";

export const SYN = 0x02;
export const ACK = 0x10;

export interface SegmentSpec {
  readonly from: SocketAddress;
  readonly to: SocketAddress;
  readonly sequence: number;
  readonly flags?: number;
  readonly payload?: Uint8Array;
  readonly vlan?: boolean;
}

export function address(text: string): SocketAddress {
  const parsed = parseSocketAddress(text);
  if (parsed === undefined) throw new TypeError(`Not an address with port: ${text}`);
  return parsed;
}

export function frame(spec: SegmentSpec, atMs = 1): CapturedFrame {
  const { from, to, sequence, flags = ACK, payload = new Uint8Array(0), vlan = false } = spec;
  const isV4 = ipFamily(from.ip) === 4;
  const tcp = Buffer.alloc(24);
  tcp.writeUInt16BE(from.port, 0);
  tcp.writeUInt16BE(to.port, 2);
  tcp.writeUInt32BE(sequence >>> 0, 4);
  // Six words of header: one of options.
  tcp[12] = 6 << 4;
  tcp[13] = flags;
  const length = tcp.length + payload.length;
  const ethernet = Buffer.concat([
    Buffer.alloc(12),
    Buffer.from(vlan ? "81000007" : "", "hex"),
    Buffer.from(isV4 ? "0800" : "86dd", "hex"),
  ]);
  const padding = Buffer.alloc(isV4 ? 6 : 0);
  return {
    atMs,
    bytes: Buffer.concat([ethernet, isV4 ? ipv4(from, to, length) : ipv6(from, to, length), tcp, payload, padding]),
  };
}

function ipv4(from: SocketAddress, to: SocketAddress, length: number): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + length, 2);
  header[9] = 6;
  header.set(ipToBytes(from.ip), 12);
  header.set(ipToBytes(to.ip), 16);
  return header;
}

/** With destination options before the segment. */
function ipv6(from: SocketAddress, to: SocketAddress, length: number): Buffer {
  const header = Buffer.alloc(48);
  header[0] = 0x60;
  header.writeUInt16BE(8 + length, 4);
  header[6] = 60;
  header.set(ipToBytes(from.ip), 8);
  header.set(ipToBytes(to.ip), 24);
  header[40] = 6;
  return header;
}

export interface Conversation {
  readonly client: SocketAddress;
  readonly server: SocketAddress;
  readonly up: Uint8Array;
  readonly down: Uint8Array;
  readonly segmentBytes?: number;
  readonly clientSequence?: number;
  readonly serverSequence?: number;
}

/** Both SYNs, then the client's segments, then the server's. */
export function framesOf(conversation: Conversation): CapturedFrame[] {
  const { client, server, up, down, segmentBytes = 1400, clientSequence = 1000, serverSequence = 5000 } = conversation;
  const forth = { from: client, to: server };
  const back = { from: server, to: client };
  return [
    frame({ ...forth, sequence: clientSequence, flags: SYN }),
    frame({ ...back, sequence: serverSequence, flags: SYN | ACK }),
    ...segments(up, segmentBytes).map(([at, payload]) => frame({ ...forth, sequence: clientSequence + 1 + at, payload })),
    ...segments(down, segmentBytes).map(([at, payload]) => frame({ ...back, sequence: serverSequence + 1 + at, payload })),
  ];
}

export function segments(bytes: Uint8Array, length: number): [number, Uint8Array][] {
  const result: [number, Uint8Array][] = [];
  for (let at = 0; at < bytes.length; at += length) result.push([at, bytes.subarray(at, at + length)]);
  return result;
}

/** In an order that is the same for the same seed. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  const result = [...items];
  let state = seed;
  for (let i = result.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const j = (state >>> 8) % (i + 1);
    const held = result[i] as T;
    result[i] = result[j] as T;
    result[j] = held;
  }
  return result;
}
