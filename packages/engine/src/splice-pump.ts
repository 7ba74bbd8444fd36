// One direction of a plain-to-plain relay inside the kernel: socket to pipe to socket, no byte in our memory.
import { libc, openPipe, type Pipe } from "@ambit/linux/syscalls";
import type { Reactor } from "./reactor.ts";
import { failedErrno, spliceSocket, WOULD_BLOCK } from "./socket-io.ts";
import type { TcpStream } from "./tcp-stream.ts";

const PIPE_BYTES = 256 * 1024;
/** Idle pipes kept for the next relay of the thread. */
const POOLED_PIPES = 16;

// Per loop: the pipes are closed with the other descriptors of their loop.
const pools = new WeakMap<Reactor, Pipe[]>();

/** Starts moving bytes from `source` to `sink`, which must have no backlog. undefined when no pipe can be had: copying goes on. */
export function openSplicePump(reactor: Reactor, source: TcpStream, sink: TcpStream): SplicePump | undefined {
  const pipe = poolOf(reactor).pop() ?? newPipe(reactor);
  return pipe === undefined ? undefined : new SplicePump(reactor, source, sink, pipe);
}

export class SplicePump {
  readonly #reactor: Reactor;
  readonly #source: TcpStream;
  readonly #sink: TcpStream;
  #pipe: Pipe | undefined;
  #inPipe = 0;

  constructor(reactor: Reactor, source: TcpStream, sink: TcpStream, pipe: Pipe) {
    this.#reactor = reactor;
    this.#source = source;
    this.#sink = sink;
    this.#pipe = pipe;
  }

  /** True while bytes wait in the pipe for the sink: the source must not be read. */
  get isFull(): boolean {
    return this.#inPipe > 0;
  }

  /** Moves at most `rounds` pipefuls; the end of input and failures are told to the streams. */
  run(rounds: number): void {
    for (let i = 0; i < rounds && this.#pipe !== undefined && this.#inPipe === 0; i++) {
      const count = spliceSocket(this.#source.fd, this.#pipe.writeFd, this.#pipe.capacity);
      if (count === WOULD_BLOCK) return;
      if (count <= 0) {
        this.#source.onPumped(count);
        return;
      }
      this.#source.relayedBytes += count;
      this.#inPipe = count;
      this.#drain();
    }
  }

  /** The sink has room again. */
  onWritable(): void {
    this.#drain();
    if (this.#inPipe === 0 && this.#pipe !== undefined) this.#source.onCapacity();
  }

  /** Gives the pipe back, or closes it when bytes are left that nobody will take. */
  close(): void {
    const pipe = this.#pipe;
    if (pipe === undefined) return;
    this.#pipe = undefined;
    const pool = poolOf(this.#reactor);
    if (this.#inPipe === 0 && pool.length < POOLED_PIPES) {
      pool.push(pipe);
      return;
    }
    for (const fd of [pipe.readFd, pipe.writeFd]) {
      this.#reactor.fds.remove(fd);
      libc.close(fd);
    }
  }

  #drain(): void {
    const wasWaiting = this.#inPipe > 0;
    while (this.#inPipe > 0 && this.#pipe !== undefined) {
      const count = spliceSocket(this.#pipe.readFd, this.#sink.fd, this.#inPipe);
      if (count === WOULD_BLOCK || count === 0) {
        this.#sink.setFeeder(this);
        return;
      }
      if (count < 0) {
        this.#sink.onPumpFailed(failedErrno(count));
        return;
      }
      this.#inPipe -= count;
    }
    if (wasWaiting) this.#sink.setFeeder(undefined);
  }
}

function poolOf(reactor: Reactor): Pipe[] {
  let pool = pools.get(reactor);
  if (pool === undefined) {
    pool = [];
    pools.set(reactor, pool);
  }
  return pool;
}

function newPipe(reactor: Reactor): Pipe | undefined {
  try {
    const pipe = openPipe(PIPE_BYTES);
    reactor.fds.add(pipe.readFd);
    reactor.fds.add(pipe.writeFd);
    return pipe;
  } catch {
    // Out of descriptors: a relay that copies is slower, but it works.
    return undefined;
  }
}
