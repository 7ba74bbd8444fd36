// UDP sockets: datagrams in, datagrams out, nothing kept.
import type { SocketAddress } from "@ambit/core";
import { type BoundSocket, bindUdp, EPOLLIN, libc, SockaddrSlot, writeSockaddr } from "@ambit/linux/syscalls";
import type { UdpOptions, UdpSocket } from "./contract.ts";
import type { FdHandler, Reactor } from "./reactor.ts";
import { allocSlab } from "./slab.ts";
import { listenFailed } from "./tcp-listener.ts";

const DATAGRAMS_PER_EVENT = 64;
const MAX_DATAGRAM_BYTES = 65536;

const slot = new SockaddrSlot();
const incoming = allocSlab(MAX_DATAGRAM_BYTES);
const outgoing = allocSlab(MAX_DATAGRAM_BYTES);

/** @throws ENGINE_LISTEN_FAILED */
export function openUdp(
  reactor: Reactor,
  options: UdpOptions,
  onDatagram: (data: Uint8Array, from: SocketAddress) => void,
): EngineUdpSocket {
  try {
    return new EngineUdpSocket(reactor, bindUdp(options), onDatagram);
  } catch (cause) {
    throw listenFailed(options.address, options.port, cause);
  }
}

export class EngineUdpSocket implements UdpSocket, FdHandler {
  readonly local: SocketAddress;
  /** Datagrams that the kernel did not take. */
  dropped = 0;
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #family: number;
  readonly #onDatagram: (data: Uint8Array, from: SocketAddress) => void;
  #open = true;

  constructor(reactor: Reactor, bound: BoundSocket, onDatagram: (data: Uint8Array, from: SocketAddress) => void) {
    this.local = bound.local;
    this.#reactor = reactor;
    this.#fd = bound.fd;
    this.#family = bound.family;
    this.#onDatagram = onDatagram;
    reactor.own(bound.fd);
    reactor.watch(bound.fd, EPOLLIN, this);
  }

  onEvents(): void {
    for (let i = 0; i < DATAGRAMS_PER_EVENT && this.#open; i++) {
      const length = libc.recvfrom(this.#fd, incoming.address, MAX_DATAGRAM_BYTES, 0, slot.address.address, slot.lengthPointer());
      // An error here is an ICMP answer to a datagram of ours; reading it has cleared it, and level triggering calls again if more is there.
      if (length < 0) return;
      const from = slot.read();
      if (from !== undefined) this.#onDatagram(incoming.bytes.subarray(0, length), from);
    }
  }

  send(data: Uint8Array, to: SocketAddress): void {
    if (!this.#open || data.length > MAX_DATAGRAM_BYTES) return;
    outgoing.bytes.set(data);
    const length = writeSockaddr(slot.address, this.#family, to.ip, to.port);
    if (libc.sendto(this.#fd, outgoing.address, data.length, 0, slot.address.address, length) < 0) this.dropped++;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#reactor.close(this.#fd, false);
  }
}
