// TCP and UDP descriptors with the options that a transparent proxy needs, made inside a given network namespace.
import type { IpAddress, SocketAddress } from "@ambit/core";
import { lastErrno } from "./foreign.ts";
import { checked, EINPROGRESS, libc, systemError } from "./libc.ts";
import { type Netns, runInNetns } from "./netns.ts";
import { allocPinned } from "./pinned.ts";
import { AF_INET, AF_INET6, addressFamily, SockaddrSlot, writeSockaddr } from "./sockaddr.ts";

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK_CLOEXEC = 0o2004000;
const LISTEN_BACKLOG = 4096;

export const SOL_IP = 0;
export const SOL_SOCKET = 1;
export const SOL_TCP = 6;
export const SOL_IPV6 = 41;

/** Names of socket options: socket(7), tcp(7), ip(7), ipv6(7). */
export const OPTION = {
  reuseAddress: 2,
  error: 4,
  sendBuffer: 7,
  receiveBuffer: 8,
  keepAlive: 9,
  linger: 13,
  reusePort: 15,
  peerCredentials: 17,
  mark: 36,
  tcpNoDelay: 1,
  tcpKeepIdleS: 4,
  tcpKeepIntervalS: 5,
  tcpKeepCount: 6,
  ipFreebind: 15,
  ipTransparent: 19,
  ipv6Only: 26,
  ipv6Transparent: 75,
  ipv6Freebind: 78,
} as const;

/** @source ztunnel src/config.rs SocketConfig: 180 s, 180 s, 9 probes */
const KEEPALIVE_IDLE_S = 180;
const KEEPALIVE_INTERVAL_S = 180;
const KEEPALIVE_PROBES = 9;

const value = allocPinned(8);
const valueLength = allocPinned(4);
const slot = new SockaddrSlot();

export interface BindOptions {
  readonly netns: Netns | undefined;
  readonly address: IpAddress | "any";
  readonly port: number;
  readonly mark?: number | undefined;
  readonly transparent?: boolean | undefined;
}

export interface BoundSocket {
  readonly fd: number;
  readonly local: SocketAddress;
  readonly family: number;
}

/** A listening TCP descriptor, non-blocking, SO_REUSEPORT; "any" is dual stack, IPv4 alone where the namespace has no IPv6. */
export function listenTcp(options: BindOptions): BoundSocket {
  const bound = bindSocket(SOCK_STREAM, options);
  return orClose(bound.fd, () => {
    checked(libc.listen(bound.fd, LISTEN_BACKLOG), "listen");
    return bound;
  });
}

export function bindUdp(options: BindOptions): BoundSocket {
  return bindSocket(SOCK_DGRAM, options);
}

export interface ConnectOptions {
  readonly netns: Netns | undefined;
  readonly remote: SocketAddress;
  readonly mark?: number | undefined;
  /** Source address to use although it belongs to somebody else; skipped when it equals the destination. */
  readonly transparentSource?: IpAddress | undefined;
}

/** A TCP descriptor whose connect has begun; it becomes writable when it is decided, `socketError` then tells how. */
export function connectTcp(options: ConnectOptions): number {
  return runInNetns(options.netns, () => {
    const { remote, transparentSource } = options;
    const family = addressFamily(remote.ip);
    const fd = checked(libc.socket(family, SOCK_STREAM | SOCK_NONBLOCK_CLOEXEC, 0), "socket");
    return orClose(fd, () => {
      if (options.mark !== undefined) setOption(fd, SOL_SOCKET, OPTION.mark, options.mark);
      setConnectionOptions(fd);
      if (transparentSource !== undefined && transparentSource !== remote.ip) {
        setTransparent(fd, family);
        const length = writeSockaddr(slot.address, family, transparentSource, 0);
        checked(libc.bind(fd, slot.address.address, length), `bind to source ${transparentSource}`);
      }
      const length = writeSockaddr(slot.address, family, remote.ip, remote.port);
      if (libc.connect(fd, slot.address.address, length) !== 0) {
        const errno = lastErrno();
        if (errno !== EINPROGRESS) throw systemError("connect", errno);
      }
      return fd;
    });
  });
}

/** TCP_NODELAY and keepalive, as every connection of ours has them. */
export function setConnectionOptions(fd: number): void {
  setOption(fd, SOL_TCP, OPTION.tcpNoDelay, 1);
  setOption(fd, SOL_SOCKET, OPTION.keepAlive, 1);
  setOption(fd, SOL_TCP, OPTION.tcpKeepIdleS, KEEPALIVE_IDLE_S);
  setOption(fd, SOL_TCP, OPTION.tcpKeepIntervalS, KEEPALIVE_INTERVAL_S);
  setOption(fd, SOL_TCP, OPTION.tcpKeepCount, KEEPALIVE_PROBES);
}

/** @throws LINUX_SYSTEM_CALL_FAILED */
export function setOption(fd: number, level: number, name: number, setting: number): void {
  value.view.setInt32(0, setting, true);
  checked(libc.setsockopt(fd, level, name, value.address, 4), `setsockopt(${level}, ${name})`);
}

/**
 * Whether closing the socket sends RST and drops what was not sent; also when the kernel closes it because its process died.
 * Harmless on a descriptor that is no TCP socket.
 */
export function setResetOnClose(fd: number, on: boolean): void {
  value.view.setInt32(0, on ? 1 : 0, true);
  value.view.setInt32(4, 0, true);
  libc.setsockopt(fd, SOL_SOCKET, OPTION.linger, value.address, 8);
}

/** The pending error of a socket, as errno; 0 when there is none. Reading clears it. */
export function socketError(fd: number): number {
  valueLength.view.setUint32(0, 4, true);
  checked(libc.getsockopt(fd, SOL_SOCKET, OPTION.error, value.address, valueLength.address), "getsockopt(SO_ERROR)");
  return value.view.getInt32(0, true);
}

export function localAddress(fd: number): SocketAddress {
  checked(libc.getsockname(fd, slot.address.address, slot.lengthPointer()), "getsockname");
  return internetAddress("getsockname");
}

/** @throws LINUX_SYSTEM_CALL_FAILED when the socket is not connected (any more) */
export function remoteAddress(fd: number): SocketAddress {
  checked(libc.getpeername(fd, slot.address.address, slot.lengthPointer()), "getpeername");
  return internetAddress("getpeername");
}

/** Runs `action`; closes the descriptor when it throws. */
export function orClose<T>(fd: number, action: () => T): T {
  try {
    return action();
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function internetAddress(call: string): SocketAddress {
  const address = slot.read();
  if (address === undefined) throw new TypeError(`${call} gave an address that is neither IPv4 nor IPv6`);
  return address;
}

function bindSocket(type: number, options: BindOptions): BoundSocket {
  return runInNetns(options.netns, () => {
    if (options.address !== "any") return bindTo(type, addressFamily(options.address), options.address, options);
    try {
      return bindTo(type, AF_INET6, "::" as IpAddress, options);
    } catch (error) {
      if (!lacksIpv6(error)) throw error;
      return bindTo(type, AF_INET, "0.0.0.0" as IpAddress, options);
    }
  });
}

function bindTo(type: number, family: number, ip: IpAddress, options: BindOptions): BoundSocket {
  const fd = checked(libc.socket(family, type | SOCK_NONBLOCK_CLOEXEC, 0), "socket");
  return orClose(fd, () => {
    // UDP sockets may share a port too: the next process generation answers beside us.
    setOption(fd, SOL_SOCKET, OPTION.reuseAddress, 1);
    setOption(fd, SOL_SOCKET, OPTION.reusePort, 1);
    if (family === AF_INET6) setOption(fd, SOL_IPV6, OPTION.ipv6Only, options.address === "any" ? 0 : 1);
    if (options.mark !== undefined) setOption(fd, SOL_SOCKET, OPTION.mark, options.mark);
    if (options.transparent === true) setTransparent(fd, family);
    const length = writeSockaddr(slot.address, family, ip, options.port);
    checked(libc.bind(fd, slot.address.address, length), "bind");
    return { fd, local: localAddress(fd), family };
  });
}

function setTransparent(fd: number, family: number): void {
  // A dual-stack socket carries IPv4 too and then needs both.
  setOption(fd, SOL_IP, OPTION.ipTransparent, 1);
  setOption(fd, SOL_IP, OPTION.ipFreebind, 1);
  if (family !== AF_INET6) return;
  setOption(fd, SOL_IPV6, OPTION.ipv6Transparent, 1);
  setOption(fd, SOL_IPV6, OPTION.ipv6Freebind, 1);
}

const NO_IPV6 = new Set(["EAFNOSUPPORT", "EADDRNOTAVAIL", "EPROTONOSUPPORT"]);

function lacksIpv6(error: unknown): boolean {
  return error instanceof Error && "details" in error && NO_IPV6.has(String((error.details as { errno?: unknown }).errno));
}
