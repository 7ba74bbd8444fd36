// The PROXY protocol header (version 2) that an application which ends tunnels itself gets. HAProxy's proxy-protocol.txt section 2.2.
import { ipFamily, ipToBytes, type SocketAddress, type SpiffeId } from "@ambit/core";

const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const VERSION_2_PROXY = 0x21;
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;
/** @source ztunnel src/proxy/inbound.rs PROXY_PROTOCOL_AUTHORITY_TLV */
const TLV_PEER_IDENTITY = 0xd0;

/** @param identity sent as a TLV of type 0xD0 when known */
export function proxyHeader(source: SocketAddress, destination: SocketAddress, identity: SpiffeId | undefined): Uint8Array {
  const isV4 = ipFamily(source.ip) === 4 && ipFamily(destination.ip) === 4;
  const addresses = isV4
    ? [ipToBytes(source.ip), ipToBytes(destination.ip)]
    : [asV6(ipToBytes(source.ip)), asV6(ipToBytes(destination.ip))];
  const name = identity === undefined ? new Uint8Array(0) : new TextEncoder().encode(identity);
  const tlv = name.length === 0 ? [] : [Uint8Array.of(TLV_PEER_IDENTITY, name.length >> 8, name.length & 0xff), name];
  const ports = Uint8Array.of(source.port >> 8, source.port & 0xff, destination.port >> 8, destination.port & 0xff);
  const body = concat([...addresses, ports, ...tlv]);
  const head = Uint8Array.of(VERSION_2_PROXY, isV4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6, body.length >> 8, body.length & 0xff);
  return concat([SIGNATURE, head, body]);
}

function asV6(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 16) return bytes;
  const mapped = new Uint8Array(16);
  mapped.set([0xff, 0xff], 10);
  mapped.set(bytes, 12);
  return mapped;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
