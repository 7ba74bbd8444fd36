// Mutual TLS as the layers above it see it.
import type { MeshError } from "@ambit/core";
import type { ByteStream, Credentials, Engine } from "./contract.ts";
import type { Slab } from "./slab.ts";

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
