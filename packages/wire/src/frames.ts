// Ethernet frames as captured: what TCP segment one carries, over IPv4 or IPv6.
import { ipFromBytes, type SocketAddress } from "@ambit/core";
import { ByteReader } from "./byte-reader.ts";

export interface CapturedFrame {
  /** From the Ethernet header on. */
  readonly bytes: Uint8Array;
  readonly atMs: number;
}

export interface TcpSegment {
  readonly source: SocketAddress;
  readonly destination: SocketAddress;
  readonly sequence: number;
  readonly isSyn: boolean;
  readonly isAck: boolean;
  readonly isReset: boolean;
  readonly payload: Uint8Array;
  /** The frame holds less than the packet's own lengths promise. */
  readonly isCut: boolean;
}

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
/** IEEE 802.1Q and 802.1ad: four more bytes, then the type again. */
const ETHERTYPE_TAGS = new Set([0x8100, 0x88a8]);
const PROTOCOL_TCP = 6;
/** Hop-by-hop options, routing, destination options: next header, length in units of 8 bytes. RFC 8200 section 4 */
const IPV6_EXTENSIONS = new Set([0, 43, 60]);
const IPV4_FRAGMENT_OFFSET = 0x1fff;
const IPV4_MORE_FRAGMENTS = 0x2000;

const FLAG_SYN = 0x02;
const FLAG_RST = 0x04;
const FLAG_ACK = 0x10;

/** undefined for whatever is no whole TCP segment: other protocols, fragments, broken headers. */
export function parseFrame(bytes: Uint8Array): TcpSegment | undefined {
  const reader = new ByteReader(bytes);
  reader.take(12);
  let type = reader.uint(2);
  while (ETHERTYPE_TAGS.has(type) && reader.ok) {
    reader.take(2);
    type = reader.uint(2);
  }
  const packet = reader.rest();
  if (type === ETHERTYPE_IPV4) return parseIpv4(packet);
  if (type === ETHERTYPE_IPV6) return parseIpv6(packet);
  return undefined;
}

function parseIpv4(packet: Uint8Array): TcpSegment | undefined {
  const reader = new ByteReader(packet);
  const first = reader.uint(1);
  reader.take(1);
  const totalLength = reader.uint(2);
  reader.take(2);
  const fragment = reader.uint(2);
  reader.take(1);
  const protocol = reader.uint(1);
  reader.take(2);
  const source = reader.take(4);
  const destination = reader.take(4);
  const headerLength = (first & 0x0f) * 4;
  if (!reader.ok || first >> 4 !== 4 || headerLength < 20 || protocol !== PROTOCOL_TCP) return undefined;
  if ((fragment & (IPV4_FRAGMENT_OFFSET | IPV4_MORE_FRAGMENTS)) !== 0) return undefined;
  // Zero: a packet that the kernel has not yet cut up and that is too long for the field.
  const end = totalLength === 0 ? packet.length : totalLength;
  return parseTcp(packet.subarray(headerLength, end), { source, destination, isCut: packet.length < end });
}

function parseIpv6(packet: Uint8Array): TcpSegment | undefined {
  const reader = new ByteReader(packet);
  const first = reader.uint(4);
  const payloadLength = reader.uint(2);
  let next = reader.uint(1);
  reader.take(1);
  const source = reader.take(16);
  const destination = reader.take(16);
  if (!reader.ok || first >>> 28 !== 6) return undefined;
  const length = payloadLength === 0 ? reader.left : payloadLength;
  const isCut = reader.left < length;
  const inner = new ByteReader(reader.take(Math.min(length, reader.left)));
  while (IPV6_EXTENSIONS.has(next) && inner.ok) {
    next = inner.uint(1);
    inner.take(inner.uint(1) * 8 + 6);
  }
  if (!inner.ok || next !== PROTOCOL_TCP) return undefined;
  return parseTcp(inner.rest(), { source, destination, isCut });
}

interface IpHeader {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly isCut: boolean;
}

function parseTcp(segment: Uint8Array, ip: IpHeader): TcpSegment | undefined {
  const reader = new ByteReader(segment);
  const sourcePort = reader.uint(2);
  const destinationPort = reader.uint(2);
  const sequence = reader.uint(4);
  reader.take(4);
  const dataOffset = (reader.uint(1) >> 4) * 4;
  const flags = reader.uint(1);
  reader.take(6);
  const source = ipFromBytes(ip.source);
  const destination = ipFromBytes(ip.destination);
  if (!reader.ok || dataOffset < 20 || dataOffset > segment.length) return undefined;
  if (source === undefined || destination === undefined) return undefined;
  return {
    source: { ip: source, port: sourcePort },
    destination: { ip: destination, port: destinationPort },
    sequence,
    isSyn: (flags & FLAG_SYN) !== 0,
    isAck: (flags & FLAG_ACK) !== 0,
    isReset: (flags & FLAG_RST) !== 0,
    payload: segment.subarray(dataOffset),
    isCut: ip.isCut,
  };
}
