// One TCP connection: read with back-pressure, write with a backlog, half-close both ways, reset.
//
// Reading: unread (nobody asked yet) -> reading <-> held (paused, or the sink is full) -> ended.
// Writing: open -> ending (end asked for, backlog not yet gone) -> ended.
// The descriptor is closed when both directions have ended, or at once with RST when the connection failed or was cut.
import { constants } from "node:os";
import type { MeshError, SocketAddress } from "@ambit/core";
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  libc,
  localAddress,
  originalDestination,
  socketError,
} from "@ambit/linux/syscalls";
import type { StreamHandler, TcpConnection } from "./contract.ts";
import { streamError } from "./errors.ts";
import type { FdHandler, Reactor } from "./reactor.ts";
import { RELAY_SIDE, type RelayableStream, type RelaySide } from "./relay-side.ts";
import { allocScratch, HEADROOM_BYTES, MAX_CHUNK_BYTES, type Slab } from "./slab.ts";
import { failedErrno, readSocket, WOULD_BLOCK, writeSocket, writeSocketBytes } from "./socket-io.ts";
import { openSplicePump, type SplicePump } from "./splice-pump.ts";
import { WriteBacklog } from "./write-backlog.ts";

const SHUT_WR = 1;
const { ECONNRESET } = constants.errno;
/** Reads per event: more would let one hot flow hold up the others of this thread. */
const READS_PER_EVENT = 2;
/** A plain-to-plain relay that has moved this much moves the rest inside the kernel; shorter ones are not worth a pipe. */
const SPLICE_AFTER_BYTES = 256 * 1024;

// Reads of one thread never overlap: whoever is pushed to uses the bytes up before it returns.
const scratch = allocScratch();
const scratchView = scratch.bytes;

/** `handle` or `join` decides who gets what is read; before that nothing is read. */
export class TcpStream implements TcpConnection, RelayableStream, RelaySide, FdHandler {
  readonly remote: SocketAddress;
  readonly reactor: Reactor;
  relayedBytes = 0;
  #fd: number;
  #local: SocketAddress | undefined;
  #original: SocketAddress | undefined;
  #watched = false;
  #mask = 0;
  #handler: StreamHandler | undefined;
  #peer: RelaySide | undefined;
  #onClosed: ((error: MeshError | undefined) => void) | undefined;
  #held = true;
  #readEnded = false;
  #ending = false;
  #writeEnded = false;
  #gone = false;
  #hungUp = false;
  readonly #backlog = new WriteBacklog();
  #splice: SplicePump | undefined;
  #feeder: SplicePump | undefined;

  constructor(reactor: Reactor, fd: number, remote: SocketAddress) {
    this.reactor = reactor;
    this.#fd = fd;
    this.remote = remote;
  }

  get local(): SocketAddress {
    this.#local ??= localAddress(this.#fd);
    return this.#local;
  }

  /** For the pump of a splicing relay. */
  get fd(): number {
    return this.#fd;
  }

  originalDestination(): SocketAddress {
    // Kept: who asks again may do so after the descriptor is gone.
    this.#original ??= originalDestination(this.#fd);
    return this.#original;
  }

  /** Gives the descriptor to another owner (TLS); this object then only remembers the addresses. */
  release(): number {
    void this.local;
    if (this.#watched) this.reactor.unwatch(this.#fd);
    this.#gone = true;
    return this.#fd;
  }

  handle(handler: StreamHandler): void {
    this.#handler = handler;
    this.#held = false;
    this.#updateMask();
  }

  pause(): void {
    this.#held = true;
    this.#updateMask();
  }

  resume(): void {
    this.#held = false;
    this.#updateMask();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#gone || this.#ending) return true;
    let written = 0;
    if (this.#backlog.length === 0) {
      const result = writeSocketBytes(this.#fd, bytes);
      if (result < WOULD_BLOCK) {
        this.#fail(streamError(failedErrno(result)));
        return true;
      }
      written = Math.max(result, 0);
    }
    if (written < bytes.length) {
      this.#backlog.add(bytes, written, bytes.length);
      this.#updateMask();
    }
    return this.#backlog.length === 0;
  }

  end(): void {
    if (this.#gone || this.#ending) return;
    this.#ending = true;
    if (this.#backlog.length === 0) this.#shutdown();
  }

  reset(): void {
    if (this.#gone) return;
    this.#onClosed = undefined;
    this.#close(true);
  }

  [RELAY_SIDE](): RelaySide {
    return this;
  }

  join(peer: RelaySide, onClosed: (error: MeshError | undefined) => void): void {
    this.#peer = peer;
    this.#onClosed = onClosed;
    this.#held = false;
    this.#updateMask();
  }

  capacity(): number {
    return this.#backlog.length === 0 ? MAX_CHUNK_BYTES : 0;
  }

  push(slab: Slab, offset: number, length: number): void {
    if (this.#gone) return;
    let written = 0;
    if (this.#backlog.length === 0) {
      const result = writeSocket(this.#fd, slab, offset, length);
      if (result < WOULD_BLOCK) {
        this.#fail(streamError(failedErrno(result)));
        return;
      }
      written = Math.max(result, 0);
    }
    if (written < length) {
      this.#backlog.add(slab.bytes, offset + written, offset + length);
      this.#updateMask();
    }
    if (written > 0) this.#peer?.onCredit(written);
  }

  pushEnd(): void {
    this.end();
  }

  onCapacity(): void {
    if (!this.#held || this.#gone) return;
    this.#held = false;
    this.#updateMask();
  }

  onCredit(): void {
    // The kernel's receive window follows our reading; there is nothing to grant.
  }

  onEvents(mask: number): void {
    if (this.#gone) return;
    if ((mask & EPOLLERR) !== 0) {
      const errno = socketError(this.#fd);
      if (errno !== 0) {
        this.#fail(streamError(errno));
        return;
      }
    }
    if ((mask & EPOLLOUT) !== 0) this.#onWritable();
    if (this.#gone) return;
    if ((mask & (EPOLLIN | EPOLLHUP)) !== 0 && !this.#held && !this.#readEnded) this.#read();
    else if ((mask & EPOLLHUP) !== 0) this.#hangUp();
  }

  /** Called by a pump that ends here: its bytes wait for this socket to become writable, or (undefined) no longer do. */
  setFeeder(pump: SplicePump | undefined): void {
    this.#feeder = pump;
    this.#updateMask();
  }

  /** Outcome of a pump whose source is this stream: as a read that gave this result. */
  onPumped(result: number): void {
    if (this.#gone) return;
    if (result === 0) this.#endOfInput();
    else if (result < WOULD_BLOCK) this.#fail(streamError(failedErrno(result)));
  }

  /** The pump could not write to this stream. */
  onPumpFailed(errno: number): void {
    if (!this.#gone) this.#fail(streamError(errno));
  }

  #read(): void {
    for (let i = 0; i < READS_PER_EVENT; i++) {
      if (this.#splice !== undefined) {
        this.#pump(this.#splice);
        return;
      }
      const limit = this.#peer === undefined ? MAX_CHUNK_BYTES : Math.min(this.#peer.capacity(), MAX_CHUNK_BYTES);
      if (limit <= 0) {
        this.pause();
        return;
      }
      const count = readSocket(this.#fd, scratch, HEADROOM_BYTES, limit);
      if (count === WOULD_BLOCK) return;
      if (count < 0) {
        this.#fail(streamError(failedErrno(count)));
        return;
      }
      if (count === 0) {
        this.#endOfInput();
        return;
      }
      this.relayedBytes += count;
      if (this.#peer !== undefined) {
        this.#peer.push(scratch, HEADROOM_BYTES, count);
        if (this.relayedBytes >= SPLICE_AFTER_BYTES && this.#peer instanceof TcpStream) this.#startSplicing(this.#peer);
      } else this.#handler?.onData(scratchView.subarray(HEADROOM_BYTES, HEADROOM_BYTES + count));
      // A short read has emptied the socket: another one now would only be told so.
      if (this.#gone || this.#held || count < limit) return;
    }
  }

  #endOfInput(): void {
    this.#readEnded = true;
    this.#splice?.close();
    this.#splice = undefined;
    this.#updateMask();
    if (this.#peer !== undefined) this.#peer.pushEnd();
    else this.#handler?.onEnd();
    this.#closeIfDone();
  }

  #onWritable(): void {
    if (this.#feeder !== undefined) {
      this.#feeder.onWritable();
      return;
    }
    const before = this.#backlog.length;
    if (before === 0) {
      this.#updateMask();
      return;
    }
    const result = this.#backlog.writeTo(this.#fd);
    if (result < WOULD_BLOCK) {
      this.#fail(streamError(failedErrno(result)));
      return;
    }
    const left = before - this.#backlog.length;
    if (this.#backlog.length === 0) {
      this.#updateMask();
      if (this.#ending) this.#shutdown();
    }
    if (left > 0) this.#peer?.onCredit(left);
    if (this.#backlog.length > 0 || this.#gone) return;
    if (this.#peer !== undefined) this.#peer.onCapacity();
    else this.#handler?.onDrain?.();
  }

  #shutdown(): void {
    if (this.#writeEnded) return;
    this.#writeEnded = true;
    libc.shutdown(this.#fd, SHUT_WR);
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (!this.#readEnded || !this.#writeEnded || this.#gone) return;
    this.#close(false);
    this.#report(undefined);
  }

  #fail(error: MeshError): void {
    if (this.#gone) return;
    const handler = this.#handler;
    this.#close(true);
    // Deferred: the failure may have been met inside a call of whom it is reported to.
    if (this.#onClosed !== undefined) this.#report(error);
    else if (handler !== undefined) this.reactor.defer(() => handler.onError(error));
  }

  #report(error: MeshError | undefined): void {
    const onClosed = this.#onClosed;
    this.#onClosed = undefined;
    if (onClosed !== undefined) this.reactor.defer(() => onClosed(error));
  }

  #close(reset: boolean): void {
    // Kept readable for whoever writes the record of the connection.
    void this.local;
    this.#gone = true;
    this.#splice?.close();
    this.#feeder?.close();
    this.#backlog.clear();
    this.reactor.close(this.#fd, reset);
  }

  /**
   * epoll reports a hang-up whether asked or not. After the end of input it means that the connection is gone. Otherwise both directions
   * are shut but input is left that the sink has no room for: the descriptor leaves the set until there is room, or the loop would spin.
   */
  #hangUp(): void {
    if (this.#readEnded) {
      this.#fail(streamError(ECONNRESET));
      return;
    }
    this.#hungUp = true;
    this.#updateMask();
  }

  #updateMask(): void {
    if (this.#gone) return;
    const wantsRead = !this.#held && !this.#readEnded;
    const wantsWrite = this.#backlog.length > 0 || this.#feeder !== undefined;
    const mask = (wantsRead ? EPOLLIN : 0) | (wantsWrite ? EPOLLOUT : 0);
    if (this.#hungUp && mask === 0) {
      if (this.#watched) this.reactor.unwatch(this.#fd);
      this.#watched = false;
      return;
    }
    if (this.#watched && mask === this.#mask) return;
    this.#mask = mask;
    if (this.#watched) this.reactor.rewatch(this.#fd, mask);
    else this.reactor.watch(this.#fd, mask, this);
    this.#watched = true;
  }

  #startSplicing(sink: TcpStream): void {
    // What the sink still holds back must leave before what goes past it.
    if (sink.capacity() > 0 && !this.#gone) this.#splice = openSplicePump(this.reactor, this, sink);
  }

  #pump(pump: SplicePump): void {
    pump.run(READS_PER_EVENT);
    if (!this.#gone && pump.isFull) this.pause();
  }
}
