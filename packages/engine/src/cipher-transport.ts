// What carries the records of a TLS channel: a TCP socket read by OpenSSL itself, or any byte stream (TLS inside a tunnel).
import type { MeshError } from "@ambit/core";
import {
  allocPinned,
  copyFromC,
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  libc,
  readPointer,
  socketError,
} from "@ambit/linux/syscalls";
import type { ByteStream, EngineTimer } from "./contract.ts";
import { streamError } from "./errors.ts";
import { openssl } from "./openssl.ts";
import type { FdHandler, Reactor } from "./reactor.ts";
import { failedErrno, readSocket, WOULD_BLOCK, writeSocketAddress } from "./socket-io.ts";

const SHUT_WR = 1;
/** How long a finished connection waits for the peer to end its side, so that our last bytes are not destroyed by a reset. */
const LINGER_MS = 5_000;

/** The channel, as its transport sees it. */
export interface CipherEnd {
  /** Ciphertext may be there, or the peer has ended its direction. */
  onReadable(): void;
  onWritable(): void;
  onBroken(error: MeshError): void;
}

export interface CipherTransport {
  /** Sends what the BIO holds. False when the rest must wait for `onWritable`. */
  flush(bio: number): boolean;
  setReading(on: boolean): void;
  /** Everything is sent: ends our direction, waits shortly for the peer's end, then closes. No callback follows. */
  finish(): void;
  /** RST. No callback follows. */
  destroy(): void;
}

const pointer = allocPinned(8);

export class TcpCipherTransport implements CipherTransport, FdHandler {
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #end: CipherEnd;
  #mask = 0;
  #watched = false;
  #reading = true;
  #blocked = false;
  #hungUp = false;
  #linger: EngineTimer | undefined;
  #gone = false;

  constructor(reactor: Reactor, fd: number, end: CipherEnd) {
    this.#reactor = reactor;
    this.#fd = fd;
    this.#end = end;
    this.#updateMask();
  }

  flush(bio: number): boolean {
    while (!this.#gone) {
      const length = openssl.BIO_nread0(bio, pointer.address);
      if (length <= 0) break;
      const written = writeSocketAddress(this.#fd, readPointer(pointer.view, 0), length);
      if (written > 0) openssl.BIO_nread(bio, pointer.address, written);
      if (written === length) continue;
      if (written < WOULD_BLOCK) {
        const error = streamError(failedErrno(written));
        this.#reactor.defer(() => {
          if (!this.#gone) this.#end.onBroken(error);
        });
      }
      this.#blocked = true;
      this.#updateMask();
      return false;
    }
    if (this.#blocked) {
      this.#blocked = false;
      this.#updateMask();
    }
    return true;
  }

  setReading(on: boolean): void {
    this.#reading = on;
    this.#updateMask();
  }

  finish(): void {
    if (this.#gone || this.#linger !== undefined) return;
    libc.shutdown(this.#fd, SHUT_WR);
    this.#linger = this.#reactor.after(LINGER_MS, () => this.destroy());
    this.setReading(true);
  }

  destroy(): void {
    this.#close(true);
  }

  onEvents(mask: number): void {
    if (this.#gone) return;
    if (this.#linger !== undefined) {
      this.#discard();
      return;
    }
    if ((mask & EPOLLERR) !== 0) {
      const errno = socketError(this.#fd);
      if (errno !== 0) {
        this.#end.onBroken(streamError(errno));
        return;
      }
    }
    if ((mask & EPOLLOUT) !== 0) this.#end.onWritable();
    if (this.#gone) return;
    if (this.#reading) {
      if ((mask & ~(EPOLLOUT | EPOLLERR)) !== 0 || mask === 0) this.#end.onReadable();
    } else if ((mask & EPOLLHUP) !== 0) {
      // Reported whether asked or not: the descriptor leaves the set until somebody reads again, or the loop would spin.
      this.#hungUp = true;
      this.#updateMask();
    }
  }

  #discard(): void {
    const count = readSocket(this.#fd, discarded, 0, discarded.bytes.length);
    if (count === 0) this.#close(false);
    else if (count < WOULD_BLOCK) this.#close(true);
  }

  #close(reset: boolean): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#linger?.cancel();
    this.#reactor.close(this.#fd, reset);
  }

  #updateMask(): void {
    if (this.#gone) return;
    const mask = (this.#reading ? EPOLLIN : 0) | (this.#blocked ? EPOLLOUT : 0);
    if (this.#hungUp && mask === 0) {
      if (this.#watched) this.#reactor.unwatch(this.#fd);
      this.#watched = false;
      return;
    }
    if (this.#watched && mask === this.#mask) return;
    this.#mask = mask;
    if (this.#watched) this.#reactor.rewatch(this.#fd, mask);
    else this.#reactor.watch(this.#fd, mask, this);
    this.#watched = true;
  }
}

const NOTHING = new Uint8Array(0);
const discarded = allocPinned(16 * 1024);

/** Records inside another stream: they are copied once each way between that stream and the BIO. */
export class StreamCipherTransport implements CipherTransport {
  readonly #stream: ByteStream;
  readonly #bio: number;
  readonly #end: CipherEnd;
  readonly #onEnd: () => void;
  /** Received while the channel was paused and the BIO full. */
  readonly #unread: Uint8Array[] = [];
  #gone = false;
  #blocked = false;
  #finished = false;
  #ended = false;

  constructor(stream: ByteStream, bio: number, end: CipherEnd, onEnd: () => void) {
    this.#stream = stream;
    this.#bio = bio;
    this.#end = end;
    this.#onEnd = onEnd;
    stream.handle({
      onData: (chunk) => {
        const left = this.#feed(chunk);
        if (left.length > 0) this.#unread.push(left.slice());
      },
      onEnd: () => {
        this.#ended = true;
        if (this.#unread.length === 0 && !this.#gone && !this.#finished) this.#onEnd();
      },
      onError: (error) => {
        if (!this.#gone) end.onBroken(error);
      },
      onDrain: () => {
        this.#blocked = false;
        if (!this.#gone) end.onWritable();
      },
    });
  }

  flush(bio: number): boolean {
    while (!this.#gone && !this.#blocked) {
      const length = openssl.BIO_nread0(bio, pointer.address);
      if (length <= 0) return true;
      const bytes = copyFromC(readPointer(pointer.view, 0), length);
      openssl.BIO_nread(bio, pointer.address, length);
      this.#blocked = !this.#stream.write(bytes);
    }
    return !this.#blocked;
  }

  setReading(on: boolean): void {
    if (!on) {
      this.#stream.pause();
      return;
    }
    for (let first = this.#unread[0]; first !== undefined; first = this.#unread[0]) {
      const left = this.#feed(first);
      if (left.length > 0) {
        this.#unread[0] = left;
        return;
      }
      this.#unread.shift();
    }
    if (this.#gone || this.#finished) return;
    if (this.#ended) this.#onEnd();
    else this.#stream.resume();
  }

  /** Gives the channel what fits into the BIO, piece by piece; what is left over comes back. */
  #feed(chunk: Uint8Array): Uint8Array {
    let left = chunk;
    while (left.length > 0 && !this.#gone && !this.#finished) {
      if (this.#unread.length > 0 && this.#unread[0] !== chunk) return left;
      const taken = openssl.BIO_write(this.#bio, left, left.length);
      if (taken <= 0) return left;
      left = left.subarray(taken);
      this.#end.onReadable();
    }
    return NOTHING;
  }

  finish(): void {
    if (this.#gone) return;
    this.#finished = true;
    this.#stream.end();
  }

  destroy(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#stream.reset();
  }
}
