// Serves HBONE on an accepted connection: the peer proves itself, then its CONNECT requests become tunnels.
import type { MeshError, SocketAddress, SpiffeId } from "@ambit/core";
import type { ByteStream, Engine, EngineTimer, TcpConnection } from "@ambit/engine";
import {
  engineOf,
  type HeaderList,
  Http2ServerSession,
  type Http2Stream,
  headerValue,
  openSecureChannel,
} from "@ambit/engine/internal";
import type { HboneServerOptions, HboneServerSession, IncomingTunnel, Tunnel } from "./contract.ts";
import { hboneError, translated } from "./errors.ts";
import { verifyClient } from "./verify-peer.ts";

/** See AcceptHboneFunction. The connection belongs to the session from here. */
export function acceptHbone(connection: TcpConnection, options: HboneServerOptions): HboneServerSession {
  const engine = engineOf(connection);
  if (engine === undefined)
    throw hboneError("HBONE_SESSION_LOST", "This connection was not accepted by an engine of this thread");
  return acceptHboneOver(engine, connection, connection, options);
}

/**
 * As `acceptHbone`, on any byte stream: the inner session of a double HBONE.
 * @param addresses what tunnels report as theirs
 */
export function acceptHboneOver(
  engine: Engine,
  stream: ByteStream,
  addresses: { readonly remote: SocketAddress; readonly local: SocketAddress },
  options: HboneServerOptions,
): HboneServerSession {
  const { remote, local } = addresses;
  return new ServerSession(engine, stream, remote, local, options);
}

class ServerSession implements HboneServerSession {
  readonly #session: Http2ServerSession;
  readonly #options: HboneServerOptions;
  readonly #deadline: EngineTimer;
  readonly #remote: SocketAddress;
  readonly #local: SocketAddress;
  #peerIdentity: SpiffeId | undefined;

  constructor(engine: Engine, stream: ByteStream, remote: SocketAddress, local: SocketAddress, options: HboneServerOptions) {
    const { credentials, handshakeTimeoutMs } = options;
    this.#options = options;
    this.#remote = remote;
    this.#local = local;
    this.#deadline = engine.after(handshakeTimeoutMs, () => {
      const message = `The TLS handshake did not end within ${handshakeTimeoutMs} ms`;
      this.close(hboneError("HBONE_HANDSHAKE_TIMED_OUT", message));
    });
    this.#session = new Http2ServerSession(
      engine,
      (handler) => openSecureChannel(engine, stream, { role: "server", credentials }, handler),
      {
        onOpen: (peer) => {
          this.#deadline.cancel();
          if (engine.nowMs() >= credentials.notAfterMs) {
            return hboneError("HBONE_CREDENTIALS_EXPIRED", `The certificate of ${credentials.identity} has expired`);
          }
          const verdict = verifyClient(peer, credentials.identity);
          if (verdict.kind === "refused") return verdict.error;
          this.#peerIdentity = verdict.identity;
          return undefined;
        },
        onRequest: (request, headers) => this.#onRequest(request, headers),
        onClosed: (error) => this.#onClosed(error),
      },
    );
  }

  get peerIdentity(): SpiffeId | undefined {
    return this.#peerIdentity;
  }

  drain(): void {
    this.#session.drain();
  }

  close(error: MeshError): void {
    this.#session.close(error);
  }

  #onRequest(stream: Http2Stream, headers: HeaderList): void {
    const peerIdentity = this.#peerIdentity;
    // Cannot be: streams exist only after `onOpen`. Refused all the same, since all policy rests on the identity.
    if (peerIdentity === undefined) stream.respond([[":status", "503"]], true);
    else this.#options.onTunnel(new PendingTunnel(stream, headers, peerIdentity, this.#remote, this.#local));
  }

  #onClosed(error: MeshError | undefined): void {
    this.#deadline.cancel();
    if (error !== undefined) this.#options.onFailed(translated(error));
    this.#options.onClosed();
  }
}

class PendingTunnel implements IncomingTunnel {
  readonly authority: string;
  readonly method: string;
  readonly headers: HeaderList;
  readonly peerIdentity: SpiffeId;
  readonly remote: SocketAddress;
  readonly local: SocketAddress;
  readonly #stream: Http2Stream;
  #cancelled = false;
  #onCancelled: (() => void) | undefined;

  constructor(stream: Http2Stream, headers: HeaderList, peerIdentity: SpiffeId, remote: SocketAddress, local: SocketAddress) {
    this.#stream = stream;
    this.authority = headerValue(headers, ":authority") ?? "";
    this.method = headerValue(headers, ":method") ?? "";
    this.headers = headers.filter(([name]) => !name.startsWith(":"));
    this.peerIdentity = peerIdentity;
    this.remote = remote;
    this.local = local;
    stream.listener = {
      onHeaders: () => undefined,
      onCut: () => {
        this.#cancelled = true;
        this.#onCancelled?.();
      },
    };
  }

  accept(headers: HeaderList): Tunnel {
    this.#stream.respond([[":status", "200"], ...headers], false);
    this.#onCancelled = undefined;
    return this.#stream;
  }

  /** Without a body. @source ztunnel src/proxy/inbound.rs build_response */
  refuse(status: number): void {
    this.#onCancelled = undefined;
    this.#stream.respond([[":status", String(status)]], true);
  }

  onCancelled(action: () => void): void {
    this.#onCancelled = action;
    if (this.#cancelled) action();
  }
}
