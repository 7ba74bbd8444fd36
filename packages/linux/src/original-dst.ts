// Where a redirected connection was going before the packet filter turned it to us.
import type { SocketAddress } from "@ambit/core";
import { libc } from "./libc.ts";
import { SockaddrSlot } from "./sockaddr.ts";
import { localAddress, SOL_IP, SOL_IPV6 } from "./sockets.ts";

/** Both options have the same number: SO_ORIGINAL_DST (linux/netfilter_ipv4.h), IP6T_SO_ORIGINAL_DST (linux/netfilter_ipv6/ip6_tables.h). */
const ORIGINAL_DST = 80;

const slot = new SockaddrSlot();

/** The destination before redirection, or the local address of a connection that was not redirected. @source ztunnel src/socket.rs orig_dst_addr */
export function originalDestination(fd: number): SocketAddress {
  for (const level of [SOL_IP, SOL_IPV6]) {
    if (libc.getsockopt(fd, level, ORIGINAL_DST, slot.address.address, slot.lengthPointer()) !== 0) continue;
    const address = slot.read();
    if (address !== undefined) return address;
  }
  return localAddress(fd);
}
