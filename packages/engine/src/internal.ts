// What the protocol layers on top of the engine (HTTP/2, HBONE) may use beyond the boundary contract: slabs, TLS, relay sides.
import type { MeshError } from "@ambit/core";
import type { ByteStream, Credentials, Engine } from "./contract.ts";

/**
 * Memory that C sees at `address`; it lives as long as the thread. Only slabs cross to C, always as (slab, offset, length).
 * `address` is for the engine's own binding; a protocol never does arithmetic on it.
 */
export interface Slab {
  readonly bytes: Uint8Array;
  readonly address: number;
}

/**
 * Bytes before every payload handed to `RelaySide.push` that the sink may overwrite: they are headroom or were already consumed.
 * A 9-byte HTTP/2 frame header fits in place, so that header and payload are encrypted by one call without a copy.
 */
export const HEADROOM_BYTES = 64;

/** Largest payload of one push or one `onData`. */
export const MAX_CHUNK_BYTES = 256 * 1024;

/** What the peer proved in the handshake. The chain is already verified against our roots, with the key usage of its role. */
export interface PeerCertificate {
  /** Subject alternative names of type URI, in the certificate's order. */
  readonly uris: readonly string[];
  /** Milliseconds since the epoch at which the leaf expires. */
  readonly notAfterMs: number;
  /** Lower-case hexadecimal serial number of the leaf. */
  readonly serial: string;
  /** DER, leaf first, up to and with the root; may be called during `onOpen` only. */
  chain(): readonly Uint8Array[];
}

export interface SecureChannelHandler {
  /** The handshake is complete and the peer verified. May look at the certificate and `reset()` the channel. */
  onOpen(peer: PeerCertificate): void;
  /**
   * Decrypted bytes, valid during the call only, at most MAX_CHUNK_BYTES, with HEADROOM_BYTES of scratch before `offset`.
   * The callee may overwrite everything before the end of what it has consumed.
   */
  onData(slab: Slab, offset: number, length: number): void;
  /** `capacity()` has become positive again after it was 0. */
  onWritable(): void;
  /**
   * The peer's close_notify (undefined), or why the channel broke: ENGINE_TLS_FAILED, ENGINE_TLS_PEER_UNVERIFIED,
   * ENGINE_TLS_TRUNCATED (end without close_notify), ENGINE_RESET. Exactly once, last, also after our own `close()` and `reset()`;
   * never from inside a call that the handler made into the channel.
   */
  onClosed(error: MeshError | undefined): void;
}

/** One mutual TLS 1.3 connection. */
export interface SecureChannel {
  /**
   * Bytes of payload that `write` takes now without growing its backlog; 0 before the handshake is complete and while the
   * kernel has not taken the last flush.
   */
  capacity(): number;
  /**
   * Encrypts. What is written in one turn of the loop leaves in one system call at its end (or earlier, above 256 KiB).
   * Control frames may be written at capacity 0 after `onOpen`: 128 KiB are reserved for them while the peer does not read; when that
   * is used up the channel breaks with ENGINE_TLS_BACKLOG.
   */
  write(slab: Slab, offset: number, length: number): void;
  /** As `write`, from memory that is no slab; copies once. */
  writeBytes(bytes: Uint8Array): void;
  /** Stops or continues reading from the peer. */
  pause(): void;
  resume(): void;
  /** Sends what is written and close_notify, then closes; a peer that does not take it within 5 s is reset. */
  close(): void;
  /** Cuts the connection: RST, unsent bytes are dropped. Idempotent. */
  reset(): void;
}

export interface SecureChannelOptions {
  readonly role: "client" | "server";
  readonly credentials: Credentials;
}

/** Starts the handshake on a TCP connection, or on any byte stream (TLS inside a tunnel). The stream then belongs to the channel. */
export type OpenSecureChannel = (
  engine: Engine,
  stream: ByteStream,
  options: SecureChannelOptions,
  handler: SecureChannelHandler,
) => SecureChannel;

/**
 * A stream's door for `relay`: source and sink without copies. `relay` asks for it with `stream[RELAY_SIDE]()`; a ByteStream without
 * one is relayed through `handle` and `write`.
 *
 * As a source, a side that has bytes calls `peer.push(...)` with at most `peer.capacity()` of them where it can choose (a TCP socket
 * reads no more than that; at 0 it stops reading until its `onCapacity` is called). A source that cannot choose, because the bytes
 * were already received within a window it had granted (HTTP/2), pushes them all, and grants new window only for what `onCredit` reports.
 * At the end it calls `peer.pushEnd()`.
 *
 * As a sink it calls `peer.onCapacity()` after its capacity was 0 and no longer is, and `peer.onCredit(n)` when bytes pushed to it have
 * left (TCP: taken by the kernel; HTTP/2: encrypted), possibly from inside `push`.
 *
 * A side ends when both directions have ended and everything pushed has left, or when it fails; then it calls `onClosed` exactly once,
 * never from inside `join`.
 */
export interface RelaySide {
  /** Starts relaying. Bytes received before are pushed too, but not before this call has returned. */
  join(peer: RelaySide, onClosed: (error: MeshError | undefined) => void): void;
  /** Bytes pushed to the peer since `join`. */
  readonly relayedBytes: number;
  capacity(): number;
  /** Takes all bytes; what cannot leave now is copied. May overwrite HEADROOM_BYTES before `offset`, and the payload after use. */
  push(slab: Slab, offset: number, length: number): void;
  /** Ends the direction towards this side after what was pushed. */
  pushEnd(): void;
  onCapacity(): void;
  onCredit(length: number): void;
  /** Cuts the stream; `onClosed` is not called any more. */
  reset(): void;
}

export const RELAY_SIDE: unique symbol = Symbol("relaySide");

/** A byte stream that `relay` can join without copies. */
export interface RelayableStream extends ByteStream {
  [RELAY_SIDE](): RelaySide;
}
