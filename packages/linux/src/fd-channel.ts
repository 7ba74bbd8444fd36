// Packets with at most one network namespace beside them, over SOCK_SEQPACKET unix sockets: how the node agent talks to ztunnel.
//
//   const listener = listenSeqpacket("/run/ztunnel.sock");      const channel = await connectSeqpacket("/run/ztunnel.sock");
//   for await (const channel of listener) { ... }                await channel.send(bytes, netns);
//   const packet = await channel.receive();                      channel.close();
//   // { data, netns } or undefined at the end; the receiver closes netns
//
// For threads that run Node's event loop. Nothing polls; after close() nothing keeps the process alive.
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { MeshError } from "@ambit/core";
import { fdWatcher } from "./fd-watcher.ts";
import { lastErrno } from "./foreign.ts";
import { checked, EAGAIN, EINTR, errnoName, errnoText, libc, systemError } from "./libc.ts";
import { adoptNetns, type Netns } from "./netns.ts";
import { receivePacket, sendPacket } from "./packet.ts";
import { allocPinned } from "./pinned.ts";
import { AF_UNIX } from "./sockaddr.ts";
import { OPTION, orClose, SOL_SOCKET } from "./sockets.ts";

const SOCK_SEQPACKET_NONBLOCK_CLOEXEC = 5 | 0o2004000;
const SOCK_NONBLOCK_CLOEXEC = 0o2004000;
const BACKLOG = 128;
/** sizeof(sun_path), with its terminating zero. */
const UNIX_PATH_BYTES = 108;

export interface Packet {
  readonly data: Uint8Array;
  /** Belongs to the receiver. */
  readonly netns: Netns | undefined;
}

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface FdChannel extends AsyncIterable<Packet> {
  /**
   * The next packet, or undefined when the peer has closed. One call at a time.
   * @throws LINUX_FRAME_INVALID for a packet over 1024 bytes, with more than one descriptor, or with one that is no network namespace;
   *   the channel stays usable. LINUX_CHANNEL_FAILED when it broke or was closed here.
   */
  receive(): Promise<Packet | undefined>;
  /** Waits while the peer's queue is full. The namespace stays open and ours. @throws LINUX_FRAME_INVALID over 1024 bytes, LINUX_CHANNEL_FAILED */
  send(data: Uint8Array, netns?: Netns): Promise<void>;
  readonly peerCredentials: PeerCredentials;
  close(): void;
}

export interface SeqpacketListener extends AsyncIterable<FdChannel> {
  /** The next connection; undefined after close(). */
  accept(): Promise<FdChannel | undefined>;
  /** Also removes the socket file. */
  close(): void;
}

/** Listens at `path`, replacing a socket file that an earlier process left. @throws LINUX_CHANNEL_FAILED */
export function listenSeqpacket(path: string, options: { readonly mode?: number } = {}): SeqpacketListener {
  const fd = openSocket();
  return orClose(fd, () => {
    removeSocketFile(path);
    const length = writeUnixAddress(path);
    if (libc.bind(fd, unixAddress.address, length) !== 0) throw channelError(`Cannot listen at ${path}`);
    chmodSync(path, options.mode ?? 0o600);
    if (libc.listen(fd, BACKLOG) !== 0) throw channelError(`Cannot listen at ${path}`);
    return new Listener(fd, path);
  });
}

/** @throws LINUX_CHANNEL_FAILED with `details.errno` ENOENT or ECONNREFUSED when nobody listens there */
export async function connectSeqpacket(path: string): Promise<FdChannel> {
  const fd = openSocket();
  for (;;) {
    const length = writeUnixAddress(path);
    if (libc.connect(fd, unixAddress.address, length) === 0) return new Channel(fd);
    const errno = lastErrno();
    if (errno !== EAGAIN && errno !== EINTR) {
      libc.close(fd);
      throw channelError(`Cannot connect to ${path}`, errno);
    }
    // A full backlog gives EAGAIN on unix sockets, and nothing reports when it has room again.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

class Channel implements FdChannel {
  readonly peerCredentials: PeerCredentials;
  readonly #fd: number;
  #open = true;

  constructor(fd: number) {
    this.#fd = fd;
    this.peerCredentials = orClose(fd, () => readPeerCredentials(fd));
  }

  async receive(): Promise<Packet | undefined> {
    for (;;) {
      this.#assertOpen();
      const received = receivePacket(this.#fd);
      if (received === "end") return undefined;
      if (received !== "wait")
        return { data: received.data, netns: received.fd === undefined ? undefined : adoptSent(received.fd) };
      await fdWatcher().ready(this.#fd, "readable");
    }
  }

  async send(data: Uint8Array, netns?: Netns): Promise<void> {
    for (;;) {
      this.#assertOpen();
      if (sendPacket(this.#fd, data, netns?.token.fd)) return;
      await fdWatcher().ready(this.#fd, "writable");
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    fdWatcher().forget(this.#fd);
    libc.close(this.#fd);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Packet, void, undefined> {
    for (let packet = await this.receive(); packet !== undefined; packet = await this.receive()) yield packet;
  }

  #assertOpen(): void {
    if (!this.#open) throw new MeshError("LINUX_CHANNEL_FAILED", "The channel is closed");
  }
}

class Listener implements SeqpacketListener {
  readonly #fd: number;
  readonly #path: string;
  #open = true;

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  async accept(): Promise<FdChannel | undefined> {
    while (this.#open) {
      const fd = libc.accept4(this.#fd, 0, 0, SOCK_NONBLOCK_CLOEXEC);
      if (fd >= 0) return new Channel(fd);
      const errno = lastErrno();
      if (errno === EAGAIN) await fdWatcher().ready(this.#fd, "readable");
      else if (errnoName(errno) !== "ECONNABORTED" && errno !== EINTR)
        throw channelError(`Cannot accept at ${this.#path}`, errno);
    }
    return undefined;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    fdWatcher().forget(this.#fd);
    libc.close(this.#fd);
    removeSocketFile(this.#path);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<FdChannel, void, undefined> {
    for (let channel = await this.accept(); channel !== undefined; channel = await this.accept()) yield channel;
  }
}

const unixAddress = allocPinned(2 + UNIX_PATH_BYTES);
const ucred = allocPinned(12);
const ucredLength = allocPinned(4);

function openSocket(): number {
  return checked(libc.socket(AF_UNIX, SOCK_SEQPACKET_NONBLOCK_CLOEXEC, 0), "socket(AF_UNIX, SOCK_SEQPACKET)");
}

function writeUnixAddress(path: string): number {
  const encoded = new TextEncoder().encode(path);
  if (encoded.length >= UNIX_PATH_BYTES) {
    throw new MeshError(
      "LINUX_CHANNEL_FAILED",
      `Socket path ${path} is longer than ${UNIX_PATH_BYTES - 1} bytes; choose a shorter one`,
    );
  }
  unixAddress.bytes.fill(0);
  unixAddress.view.setUint16(0, AF_UNIX, true);
  unixAddress.bytes.set(encoded, 2);
  return 2 + encoded.length + 1;
}

function removeSocketFile(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) unlinkSync(path);
}

/** struct ucred, unix(7). */
function readPeerCredentials(fd: number): PeerCredentials {
  ucredLength.view.setUint32(0, 12, true);
  const result = libc.getsockopt(fd, SOL_SOCKET, OPTION.peerCredentials, ucred.address, ucredLength.address);
  if (result !== 0) throw systemError("getsockopt(SO_PEERCRED)");
  return { pid: ucred.view.getInt32(0, true), uid: ucred.view.getUint32(4, true), gid: ucred.view.getUint32(8, true) };
}

function adoptSent(fd: number): Netns {
  try {
    return adoptNetns(fd, "a descriptor that the peer sent");
  } catch (cause) {
    throw new MeshError("LINUX_FRAME_INVALID", "The peer sent a descriptor that is no network namespace", { cause });
  }
}

function channelError(what: string, errno = lastErrno()): MeshError {
  return new MeshError("LINUX_CHANNEL_FAILED", `${what}: ${errnoText(errno)}`, { details: { errno: errnoName(errno) } });
}
