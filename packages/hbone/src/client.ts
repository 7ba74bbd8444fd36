// One session to another proxy, and the tunnels opened on it.
//
// States: dialing -> handshaking -> ready -> closed. A session that was never ready closes with the reason.
import { formatSocketAddress, type MeshError, type SocketAddress, type SpiffeId } from "@ambit/core";
import type { ByteStream, Credentials, Engine, EngineTimer } from "@ambit/engine";
import { H2, type HeaderList, Http2ClientSession, type Http2Stream, openSecureChannel } from "@ambit/engine/internal";
import type { Netns } from "@ambit/linux";
import type { OpenTunnelResult } from "./contract.ts";
import { connectFailed, hboneError, translated } from "./errors.ts";
import { verifyServer } from "./verify-peer.ts";

export interface HboneClientOptions {
  readonly credentials: Credentials;
  readonly expectedIdentities: readonly SpiffeId[];
  readonly handshakeTimeoutMs: number;
}

export interface HboneDialOptions extends HboneClientOptions {
  readonly netns: Netns | undefined;
  readonly mark?: number;
  readonly remote: SocketAddress;
  readonly connectTimeoutMs: number;
}

export interface HboneClientListener {
  onReady(): void;
  /** `room`, `usable` or `openStreams` may have changed. */
  onChange(): void;
  /** Once, last. Tunnels that were open have been told. */
  onClosed(error: MeshError | undefined): void;
}

/** Called exactly once, never before `openTunnel` has returned. `cause` is the untranslated failure. */
export type TunnelDone = (result: OpenTunnelResult, cause: MeshError | undefined) => void;

export class HboneClient {
  readonly #engine: Engine;
  readonly #options: HboneClientOptions;
  readonly #listener: HboneClientListener;
  #session: Http2ClientSession | undefined;
  #dial: { cancel(): void } | undefined;
  #deadline: EngineTimer | undefined;
  #peerIdentity: SpiffeId | undefined;
  #expiresMs: number;
  #ready = false;
  #closed = false;

  /** Starts nothing: `dial` or `over` does. */
  constructor(engine: Engine, options: HboneClientOptions, listener: HboneClientListener) {
    this.#engine = engine;
    this.#options = options;
    this.#listener = listener;
    this.#expiresMs = options.credentials.notAfterMs;
  }

  get ready(): boolean {
    return this.#ready && !this.#closed;
  }

  /** Tunnels that may be opened now. */
  get room(): number {
    return this.ready && this.usable ? (this.#session?.room ?? 0) : 0;
  }

  get openStreams(): number {
    return this.#session?.openStreams ?? 0;
  }

  /** False once no tunnel will be opened here any more: GOAWAY, drained, closed, or a certificate of either side has expired. */
  get usable(): boolean {
    return !this.#closed && (this.#session?.usable ?? true) && this.#engine.nowMs() < this.#expiresMs;
  }

  dial(options: HboneDialOptions): void {
    const { netns, mark, remote, connectTimeoutMs } = options;
    const dialOptions = { netns, remote, timeoutMs: connectTimeoutMs, ...(mark === undefined ? {} : { mark }) };
    this.#dial = this.#engine.dialTcp(dialOptions, (result) => {
      this.#dial = undefined;
      if (result.kind === "connected") this.over(result.connection);
      else this.#finish(connectFailed(result.error, formatSocketAddress(remote)));
    });
  }

  /** The handshake on a stream that is open. */
  over(stream: ByteStream): void {
    const { credentials, expectedIdentities, handshakeTimeoutMs } = this.#options;
    this.#deadline = this.#engine.after(handshakeTimeoutMs, () => {
      const message = `The TLS handshake did not end within ${handshakeTimeoutMs} ms`;
      this.close(hboneError("HBONE_HANDSHAKE_TIMED_OUT", message));
    });
    this.#session = new Http2ClientSession(
      this.#engine,
      (handler) => openSecureChannel(this.#engine, stream, { role: "client", credentials }, handler),
      {
        onOpen: (peer) => {
          const verdict = verifyServer(peer, expectedIdentities);
          if (verdict.kind === "refused") return verdict.error;
          // OpenSSL counts in whole seconds. A session that is useless from its start would be followed by the next one.
          if (this.#engine.nowMs() >= peer.notAfterMs) {
            const expiry = new Date(peer.notAfterMs).toISOString();
            return hboneError("HBONE_PEER_UNVERIFIED", `The certificate of ${verdict.identity} has expired at ${expiry}`);
          }
          this.#peerIdentity = verdict.identity;
          this.#expiresMs = Math.min(this.#expiresMs, peer.notAfterMs);
          return undefined;
        },
        onReady: () => {
          this.#deadline?.cancel();
          this.#ready = true;
          this.#listener.onReady();
        },
        onChange: () => this.#listener.onChange(),
        onClosed: (error) => this.#finish(error === undefined ? undefined : translated(error)),
      },
    );
  }

  /** Sends CONNECT. The caller has looked at `room`. */
  openTunnel(authority: string, headers: HeaderList, done: TunnelDone): { cancel(): void } {
    const identity = this.#peerIdentity;
    const session = this.#session;
    let stream: Http2Stream | undefined;
    let isPending = true;
    const finish = (result: OpenTunnelResult, cause?: MeshError): void => {
      if (!isPending) return;
      isPending = false;
      done(result, cause);
    };
    if (session === undefined || identity === undefined) {
      this.#engine.defer(() => finish({ kind: "failed", error: hboneError("HBONE_SESSION_LOST", "The session is not open") }));
    } else {
      try {
        stream = session.request([[":method", "CONNECT"], [":authority", authority], ...headers], false, {
          onHeaders: (answer, endStream) => {
            if (stream !== undefined && isPending) finish(tunnelResult(stream, answer, endStream, identity));
          },
          onCut: (error) => finish({ kind: "failed", error: translated(error) }, error),
        });
      } catch (error) {
        const cause = error as MeshError;
        this.#engine.defer(() => finish({ kind: "failed", error: translated(cause) }, cause));
      }
    }
    return {
      cancel: () => {
        isPending = false;
        // Nothing was transferred, so that CANCEL cannot be taken for the end of data.
        stream?.resetWith(H2.CANCEL);
      },
    };
  }

  /** No new tunnels; closes when the open ones have ended. */
  drain(): void {
    this.#session?.drain();
  }

  close(error: MeshError): void {
    this.#dial?.cancel();
    if (this.#session !== undefined) this.#session.close(error);
    else this.#finish(error);
  }

  #finish(error: MeshError | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deadline?.cancel();
    this.#listener.onClosed(error);
  }
}

/** Exactly 200 is success. @source ztunnel src/proxy/pool.rs send_request_pooled, ambient-data-plane.md section 4.4 */
function tunnelResult(stream: Http2Stream, headers: HeaderList, endStream: boolean, peerIdentity: SpiffeId): OpenTunnelResult {
  const status = Number(headers[0]?.[1]);
  const fields = headers.slice(1);
  if (status === 200) return { kind: "open", tunnel: stream, headers: fields, peerIdentity };
  if (endStream) stream.end();
  else stream.resetWith(H2.CANCEL);
  return { kind: "refused", status, headers: fields };
}
