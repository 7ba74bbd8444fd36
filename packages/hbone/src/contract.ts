// What ztunnel and waypoint see of HBONE: HTTP/2 CONNECT inside mutual TLS. Runs inside a worker, nothing awaits.
import type { IpAddress, MeshError, SocketAddress, SpiffeId } from "@ambit/core";
import type { ByteStream, Credentials, TcpConnection } from "@ambit/engine";
import type { Netns } from "@ambit/linux";

/** Lower-case names. Order is kept on the wire. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

/** An open CONNECT stream. `reset()` sends RST_STREAM(CANCEL is never used: a cut stream must not look like a clean end). */
export type Tunnel = ByteStream;

export interface OpenTunnelOptions {
  /** Namespace of the local pod: connections leave from its address. */
  readonly netns: Netns | undefined;
  readonly mark?: number;
  readonly credentials: Credentials;
  /** One of these must be in the peer's certificate; an empty list fails. */
  readonly expectedIdentities: readonly SpiffeId[];
  readonly remote: SocketAddress;
  /** Part of the pool key together with source identity, expected identities and remote. */
  readonly sourceIp: IpAddress;
  readonly connectTimeoutMs: number;
  readonly authority: string;
  readonly headers: HeaderList;
}

export type OpenTunnelResult =
  | { readonly kind: "open"; readonly tunnel: Tunnel; readonly headers: HeaderList; readonly peerIdentity: SpiffeId }
  /** The peer answered with another status than 200. */
  | { readonly kind: "refused"; readonly status: number; readonly headers: HeaderList }
  /** HBONE_CONNECT_FAILED, HBONE_TLS_FAILED, HBONE_PEER_UNVERIFIED, HBONE_HANDSHAKE_TIMED_OUT, HBONE_SESSION_LOST. */
  | { readonly kind: "failed"; readonly error: MeshError };

/** Sessions of one local pod, pooled by (source identity, expected identities, remote, source address). */
export interface HbonePool {
  /** `done` is called exactly once, never before this function has returned. */
  openTunnel(options: OpenTunnelOptions, done: (result: OpenTunnelResult) => void): { cancel(): void };
  /** No new tunnels on existing sessions of an older certificate generation than these credentials. */
  retire(identity: SpiffeId): void;
  /** Open streams run on; idle sessions end now. */
  drain(): void;
  /** Everything ends now. */
  close(error: MeshError): void;
  readonly sessions: number;
}

/** A CONNECT request waiting for an answer. Exactly one of accept and refuse must be called. */
export interface IncomingTunnel {
  readonly authority: string;
  readonly method: string;
  readonly headers: HeaderList;
  readonly peerIdentity: SpiffeId;
  readonly remote: SocketAddress;
  readonly local: SocketAddress;
  /** Sends 200 with these headers. */
  accept(headers: HeaderList): Tunnel;
  /** Sends the status and ends the stream. */
  refuse(status: number): void;
  /** The peer gave up before an answer. */
  onCancelled(action: () => void): void;
}

export interface HboneServerOptions {
  readonly credentials: Credentials;
  readonly handshakeTimeoutMs: number;
  onTunnel(tunnel: IncomingTunnel): void;
  /** TLS or HTTP/2 failed before any tunnel, or the session broke. `error.code` says which. */
  onFailed(error: MeshError): void;
  onClosed(): void;
}

export interface HboneServerSession {
  readonly peerIdentity: SpiffeId | undefined;
  /** GOAWAY; open streams run on. */
  drain(): void;
  close(error: MeshError): void;
}

/** Serves HBONE on an accepted connection. */
export type AcceptHboneFunction = (connection: TcpConnection, options: HboneServerOptions) => HboneServerSession;
