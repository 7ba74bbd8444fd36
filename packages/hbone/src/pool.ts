// Sessions of one local pod, shared by its connections.
//
// A session: connecting (requests wait for it) -> ready (takes tunnels while it has room) -> retired (serves what it has, then ends).
// One that was full takes tunnels again when some have ended.
import { formatSocketAddress, type MeshError, type SpiffeId } from "@ambit/core";
import type { Credentials, Engine, EngineTimer } from "@ambit/engine";
import { HboneClient } from "./client.ts";
import type { HbonePool, OpenTunnelOptions, OpenTunnelResult } from "./contract.ts";
import { hboneError, isUnprocessed } from "./errors.ts";

/** @source ztunnel src/config.rs POOL_UNUSED_RELEASE_TIMEOUT */
const IDLE_RELEASE_MS = 5 * 60_000;
/** @source ztunnel src/config.rs POOL_MAX_STREAMS_PER_CONNECTION */
const TUNNELS_PER_SESSION = 100;

export interface HbonePoolOptions {
  /** Default 5 min. */
  readonly idleReleaseMs?: number;
  /** Default 100; the peer's own limit also holds. */
  readonly tunnelsPerSession?: number;
}

/** One pool per local pod; all sessions of it belong to the thread of `engine`. */
export function createHbonePool(engine: Engine, options: HbonePoolOptions = {}): HbonePool {
  return new SessionPool(engine, options);
}

interface TunnelRequest {
  readonly key: string;
  readonly options: OpenTunnelOptions;
  readonly done: (result: OpenTunnelResult) => void;
  cancelled: boolean;
  retried: boolean;
  /** Set while the CONNECT is on its way. */
  sent: { cancel(): void } | undefined;
}

class SessionPool implements HbonePool {
  readonly engine: Engine;
  readonly idleReleaseMs: number;
  readonly tunnelsPerSession: number;
  readonly #sessions = new Map<string, PooledSession[]>();
  /** Retired sessions that still serve tunnels. */
  readonly #retired = new Set<PooledSession>();
  #drained = false;
  #closedBy: MeshError | undefined;

  constructor(engine: Engine, options: HbonePoolOptions) {
    this.engine = engine;
    this.idleReleaseMs = options.idleReleaseMs ?? IDLE_RELEASE_MS;
    this.tunnelsPerSession = options.tunnelsPerSession ?? TUNNELS_PER_SESSION;
  }

  get sessions(): number {
    let count = this.#retired.size;
    for (const sessions of this.#sessions.values()) count += sessions.length;
    return count;
  }

  openTunnel(options: OpenTunnelOptions, done: (result: OpenTunnelResult) => void): { cancel(): void } {
    const request: TunnelRequest = { key: keyOf(options), options, done, cancelled: false, retried: false, sent: undefined };
    const flaw = this.#flaw(options);
    if (flaw === undefined) this.place(request, undefined);
    else this.engine.defer(() => finish(request, { kind: "failed", error: flaw }));
    return {
      cancel: () => {
        request.cancelled = true;
        request.sent?.cancel();
      },
    };
  }

  retire(identity: SpiffeId): void {
    for (const session of this.#all()) if (session.credentials.identity === identity) session.retire();
  }

  drain(): void {
    this.#drained = true;
    for (const session of this.#all()) session.retire();
  }

  close(error: MeshError): void {
    this.#drained = true;
    this.#closedBy ??= error;
    for (const session of [...this.#all(), ...this.#retired]) session.client.close(error);
  }

  /** Sends the request on a session with room, lets it wait for one that is connecting, or dials. */
  place(request: TunnelRequest, except: PooledSession | undefined): void {
    if (this.#closedBy !== undefined) {
      finish(request, { kind: "failed", error: this.#closedBy });
      return;
    }
    const sessions = this.#sessions.get(request.key) ?? [];
    for (const session of sessions) {
      if (session !== except && session.credentials === request.options.credentials && session.take(request)) return;
    }
    const session = new PooledSession(this, request.options, request.key);
    this.#sessions.set(request.key, [...sessions, session]);
    session.take(request);
    // A request that was accepted before the drain and is sent again after it.
    if (this.#drained) session.retire();
  }

  /** No request will be placed on it. */
  remove(session: PooledSession, isGone: boolean): void {
    const rest = (this.#sessions.get(session.key) ?? []).filter((other) => other !== session);
    if (rest.length > 0) this.#sessions.set(session.key, rest);
    else this.#sessions.delete(session.key);
    if (isGone) this.#retired.delete(session);
    else this.#retired.add(session);
  }

  #all(): PooledSession[] {
    return [...this.#sessions.values()].flat();
  }

  #flaw(options: OpenTunnelOptions): MeshError | undefined {
    if (this.#drained) return hboneError("HBONE_POOL_CLOSED", "The pod's proxy is shutting down and opens no new tunnel");
    if (options.expectedIdentities.length === 0) {
      return hboneError("HBONE_PEER_UNVERIFIED", "No identity is expected at the destination, so that none can be accepted");
    }
    const { notAfterMs, identity } = options.credentials;
    if (this.engine.nowMs() < notAfterMs) return undefined;
    return hboneError(
      "HBONE_CREDENTIALS_EXPIRED",
      `The certificate of ${identity} has expired at ${new Date(notAfterMs).toISOString()}`,
    );
  }
}

class PooledSession {
  readonly key: string;
  readonly credentials: Credentials;
  readonly client: HboneClient;
  readonly #pool: SessionPool;
  #waiting: TunnelRequest[] = [];
  #retired = false;
  #idleSinceMs = 0;
  #idleTimer: EngineTimer | undefined;

  constructor(pool: SessionPool, options: OpenTunnelOptions, key: string) {
    this.#pool = pool;
    this.key = key;
    this.credentials = options.credentials;
    const handshakeTimeoutMs = options.connectTimeoutMs;
    this.client = new HboneClient(
      pool.engine,
      { credentials: options.credentials, expectedIdentities: options.expectedIdentities, handshakeTimeoutMs },
      {
        onReady: () => this.#onReady(),
        onChange: () => this.#onChange(),
        onClosed: (error) => this.#onClosed(error),
      },
    );
    this.client.dial({ ...options, handshakeTimeoutMs });
  }

  /** False when there is no room. */
  take(request: TunnelRequest): boolean {
    if (this.#retired || !this.client.usable) return false;
    if (this.client.ready) {
      if (this.client.room === 0 || this.client.openStreams >= this.#pool.tunnelsPerSession) return false;
      this.#send(request);
      return true;
    }
    if (this.#waiting.length >= this.#pool.tunnelsPerSession) return false;
    this.#waiting.push(request);
    return true;
  }

  retire(): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#pool.remove(this, false);
    // One that is still connecting drains when those who wait for it have their tunnels.
    if (this.client.ready) this.client.drain();
  }

  #send(request: TunnelRequest): void {
    const { options } = request;
    request.sent = this.client.openTunnel(options.authority, options.headers, (result, cause) => {
      request.sent = undefined;
      // Nobody has acted on it, so that sending it again is safe; once, and elsewhere: this peer has just refused.
      if (cause !== undefined && isUnprocessed(cause) && !request.retried) {
        request.retried = true;
        if (!request.cancelled) this.#pool.place(request, this);
      } else finish(request, result);
    });
  }

  #onReady(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const isUseless = this.client.room === 0;
    for (const request of waiting) {
      if (request.cancelled) continue;
      if (this.client.room > 0) this.#send(request);
      else if (!isUseless) this.#pool.place(request, this);
      // The next session would be no better, and so on for ever.
      else finish(request, { kind: "failed", error: hboneError("HBONE_SESSION_LOST", "The new session takes no tunnel") });
    }
    this.#idleSinceMs = this.#pool.engine.nowMs();
    this.#idleTimer = this.#pool.engine.after(this.#pool.idleReleaseMs, this.#checkIdle);
    if (this.#retired) this.client.drain();
  }

  #onChange(): void {
    if (this.client.openStreams === 0) this.#idleSinceMs = this.#pool.engine.nowMs();
    if (!this.client.usable) this.retire();
  }

  #onClosed(error: MeshError | undefined): void {
    this.#retired = true;
    this.#idleTimer?.cancel();
    this.#pool.remove(this, true);
    const failure = error ?? hboneError("HBONE_SESSION_LOST", "Peer closed the session before it was open");
    for (const request of this.#waiting) finish(request, { kind: "failed", error: failure });
    this.#waiting = [];
  }

  /** One timer per session, not one per time that it falls idle. */
  readonly #checkIdle = (): void => {
    const { engine, idleReleaseMs } = this.#pool;
    const idleMs = this.client.openStreams > 0 ? 0 : engine.nowMs() - this.#idleSinceMs;
    if (idleMs >= idleReleaseMs) this.retire();
    else this.#idleTimer = engine.after(idleReleaseMs - idleMs, this.#checkIdle);
  };
}

function finish(request: TunnelRequest, result: OpenTunnelResult): void {
  if (!request.cancelled) request.done(result);
}

/** @source ztunnel src/proxy/pool.rs WorkloadKey */
function keyOf(options: OpenTunnelOptions): string {
  const { credentials, expectedIdentities, remote, sourceIp } = options;
  return [credentials.identity, expectedIdentities.join(","), formatSocketAddress(remote), sourceIp].join("|");
}
