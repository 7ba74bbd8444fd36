// Socket addresses in the kernel's form.
import { type IpAddress, ipFamily, ipFromBytes, ipToBytes, type SocketAddress } from "@ambit/core";
import { allocPinned, type Pinned } from "./pinned.ts";

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;

/** sizeof(struct sockaddr_storage): large enough for every family. */
export const SOCKADDR_BYTES = 128;
const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;

export function addressFamily(ip: IpAddress): number {
  return ipFamily(ip) === 4 ? AF_INET : AF_INET6;
}

/** Writes an address for a socket of `family`; IPv4 on an IPv6 socket becomes IPv4-mapped. Gives the length. @see ip(7), ipv6(7) */
export function writeSockaddr(target: Pinned, family: number, ip: IpAddress, port: number): number {
  const { bytes, view } = target;
  const raw = ipToBytes(ip);
  view.setUint16(0, family, true);
  view.setUint16(2, port, false);
  if (family === AF_INET) {
    bytes.set(raw, 4);
    bytes.fill(0, 8, SOCKADDR_IN_BYTES);
    return SOCKADDR_IN_BYTES;
  }
  bytes.fill(0, 4, SOCKADDR_IN6_BYTES);
  if (raw.length === 4) {
    bytes[18] = 0xff;
    bytes[19] = 0xff;
    bytes.set(raw, 20);
  } else bytes.set(raw, 8);
  return SOCKADDR_IN6_BYTES;
}

/** Reads an address; IPv4-mapped ones are folded to IPv4. undefined for another family. */
export function readSockaddr(source: Pinned): SocketAddress | undefined {
  const { bytes, view } = source;
  const family = view.getUint16(0, true);
  const raw = family === AF_INET ? bytes.subarray(4, 8) : family === AF_INET6 ? bytes.subarray(8, 24) : undefined;
  const ip = raw === undefined ? undefined : ipFromBytes(raw);
  return ip === undefined ? undefined : { ip, port: view.getUint16(2, false) };
}

/** An address buffer with the `socklen_t` that the kernel reads and writes beside it. */
export class SockaddrSlot {
  readonly address: Pinned = allocPinned(SOCKADDR_BYTES);
  readonly #length: Pinned = allocPinned(4);

  /** Address of the length, reset to the buffer's size. */
  lengthPointer(): number {
    this.#length.view.setUint32(0, SOCKADDR_BYTES, true);
    return this.#length.address;
  }

  read(): SocketAddress | undefined {
    return readSockaddr(this.address);
  }
}
