// The boundary contract: what code above the engine may know of it. No file descriptor, no pointer, no OpenSSL, no koffi.
// Everything here is synchronous and belongs to one worker thread; nothing in a worker may await.
import type { IpAddress, MeshError, SocketAddress, SpiffeId } from "@ambit/core";
import type { Netns } from "@ambit/linux";

export interface EngineTimer {
  cancel(): void;
}

/** One thread's loop. All callbacks run on it, one at a time. */
export interface Engine {
  /** Milliseconds since the Unix epoch, read once per turn of the loop. */
  nowMs(): number;
  after(delayMs: number, action: () => void): EngineTimer;
  /** Runs `action` at the end of the current turn. */
  defer(action: () => void): void;
  /**
   * Opens a listening socket inside `netns`, with SO_REUSEPORT: each worker and each process generation has its own queue.
   * @throws ENGINE_LISTEN_FAILED with errno name, address and port
   */
  listenTcp(options: ListenOptions, onAccept: (connection: TcpConnection) => void): Listener;
  /** Connects from inside `netns`. `done` is called exactly once, never before this function has returned. */
  dialTcp(options: DialOptions, done: (result: DialResult) => void): { cancel(): void };
  /** @throws ENGINE_LISTEN_FAILED */
  bindUdp(options: UdpOptions, onDatagram: (data: Uint8Array, from: SocketAddress) => void): UdpSocket;
  /**
   * Builds a TLS context from PEM; one per certificate generation. TLS 1.3 only, peer certificate required both ways.
   * @throws ENGINE_CREDENTIALS_INVALID
   */
  credentials(pem: CredentialsPem): Credentials;
  readonly stats: EngineStats;
}

export interface EngineStats {
  readonly turns: number;
  readonly openSockets: number;
}

export interface ListenOptions {
  /** undefined: the process's own network namespace. */
  readonly netns: Netns | undefined;
  /** "any" is dual stack [::], or 0.0.0.0 where IPv6 is off. */
  readonly address: IpAddress | "any";
  readonly port: number;
  /** SO_MARK; absent leaves the socket unmarked. */
  readonly mark?: number;
  /** IP_TRANSPARENT, so that accepted sockets may carry foreign addresses. */
  readonly transparent?: boolean;
}

export interface Listener {
  readonly local: SocketAddress;
  /** Stops accepting and closes the listening socket; accepted connections live on. */
  close(): void;
}

export interface DialOptions {
  readonly netns: Netns | undefined;
  readonly remote: SocketAddress;
  readonly timeoutMs: number;
  readonly mark?: number;
  /** Source address to spoof (IP_TRANSPARENT, port chosen by the kernel). */
  readonly transparentSource?: IpAddress;
}

export type DialResult =
  | { readonly kind: "connected"; readonly connection: TcpConnection }
  /** ENGINE_CONNECT_REFUSED, _TIMED_OUT, _UNREACHABLE, _FAILED; `details.errno` is the errno name, message as the access line prints it. */
  | { readonly kind: "failed"; readonly error: MeshError };

export interface StreamHandler {
  /** `chunk` is valid only during the call. */
  onData(chunk: Uint8Array): void;
  /** The other side ended its direction cleanly. Writing is still possible. */
  onEnd(): void;
  /** The stream is gone; no further call follows. */
  onError(error: MeshError): void;
  /** What `write` could not hand over has been handed over. */
  onDrain?(): void;
}

/** A two-way byte stream with half-close: a TCP connection or a tunnel. Used either through `handle` or by `relay`, not both. */
export interface ByteStream {
  handle(handler: StreamHandler): void;
  pause(): void;
  resume(): void;
  /** Takes all bytes (copying what cannot be sent now); false asks the caller to wait for onDrain. */
  write(bytes: Uint8Array): boolean;
  /** Ends our direction after what was written. */
  end(): void;
  /** Tears the stream down: RST on TCP, RST_STREAM on a tunnel. Idempotent. */
  reset(): void;
}

export interface TcpConnection extends ByteStream {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** Destination before redirection (SO_ORIGINAL_DST); `local` when the connection was not redirected. */
  originalDestination(): SocketAddress;
}

export interface UdpOptions {
  readonly netns: Netns | undefined;
  readonly address: IpAddress | "any";
  readonly port: number;
  readonly mark?: number;
}

export interface UdpSocket {
  readonly local: SocketAddress;
  /** Datagrams that the kernel does not take at once are dropped and counted, as UDP allows. */
  send(data: Uint8Array, to: SocketAddress): void;
  close(): void;
}

/** PEM texts. `certChain` is leaf first; `roots` may hold several certificates. */
export interface CredentialsPem {
  readonly certChain: string;
  readonly privateKey: string;
  readonly roots: string;
}

/** A certificate generation as the engine holds it. Connections made with it keep it alive after `close`. */
export interface Credentials {
  readonly identity: SpiffeId;
  /** Milliseconds since the epoch. */
  readonly notAfterMs: number;
  close(): void;
}

/** How two joined streams ended. */
export type RelayEnd =
  | { readonly kind: "finished" }
  /** One side failed or was cut; the other was reset. ENGINE_RESET, ENGINE_TUNNEL_RESET, …, or what `abort` was given. */
  | { readonly kind: "failed"; readonly side: "downstream" | "upstream" | "abort"; readonly error: MeshError };

export interface Relay {
  /** Bytes read from downstream and handed to upstream. */
  readonly bytesToUpstream: number;
  readonly bytesToDownstream: number;
  /** Resets both sides; `done` is called with this error. */
  abort(error: MeshError): void;
}

/** Joins two streams, both directions, half-close carried over. `done` is called exactly once, never before relay() has returned. */
export type RelayFunction = (downstream: ByteStream, upstream: ByteStream, done: (end: RelayEnd) => void) => Relay;

/** Main-thread side of the workers. Messages are structured-cloneable. */
export interface WorkerPool<ToWorker> {
  readonly size: number;
  /** To the workers that run now; one that starts later gets its state in `onStart`. */
  broadcast(message: ToWorker): void;
  post(worker: number, message: ToWorker): void;
  readonly restarts: number;
  /** Asks every worker to stop its loop, waits, then terminates. */
  stop(): Promise<void>;
}

export interface WorkerPoolOptions<ToMain> {
  readonly entry: URL;
  readonly count: number;
  /** Passed to the worker's entry; must be cloneable. */
  readonly data: unknown;
  /** A worker is running (first start, or replacement after a death): send it its whole state. */
  onStart(worker: number): void;
  onMessage(worker: number, message: ToMain): void;
  /** A worker died. Its sockets are closed by the pool before this is called. A replacement starts by itself. */
  onDeath(worker: number, error: MeshError): void;
}

/** Worker side: call once in the entry module; returns when the loop has been asked to stop. */
export type RunWorkerFunction = <ToWorker, ToMain, Data>(
  setUp: (
    engine: Engine,
    mailbox: { post(message: ToMain): void; onMessage(handler: (message: ToWorker) => void): void },
    data: Data,
  ) => void,
) => void;
