// Mutual TLS 1.3 on a connection: handshake, the peer's proof, records in and out with few system calls.
//
// States: handshake -> open -> closing (close_notify written, waiting to be sent) -> closed. Every failure leads to closed.
import type { MeshError } from "@ambit/core";
import { allocPinned, readPointer } from "@ambit/linux/syscalls";
import { type CipherEnd, type CipherTransport, StreamCipherTransport, TcpCipherTransport } from "./cipher-transport.ts";
import type { ByteStream, Credentials, Engine, EngineTimer } from "./contract.ts";
import { TlsCredentials } from "./credentials.ts";
import { engineError } from "./errors.ts";
import { alpnSelected, openssl, SSL_ERROR, takeErrors } from "./openssl.ts";
import { readPeerCertificate } from "./peer-certificate.ts";
import type { FdHandler, Reactor } from "./reactor.ts";
import { reactorOf } from "./reactor-of.ts";
import type { SecureChannel, SecureChannelHandler, SecureChannelOptions } from "./secure-channel.ts";
import { allocScratch, allocSlab, HEADROOM_BYTES, MAX_CHUNK_BYTES, type Slab } from "./slab.ts";
import { TcpStream } from "./tcp-stream.ts";

const RECORD_BYTES = 16 * 1024;
const FLUSH_ABOVE_BYTES = 128 * 1024;
const CONTROL_RESERVE_BYTES = 128 * 1024;
/** Below the flush threshold, one chunk more, the reserve, and 22 bytes per record for all of them. Untouched pages cost nothing. */
const BACKLOG_BYTES = FLUSH_ABOVE_BYTES + MAX_CHUNK_BYTES + CONTROL_RESERVE_BYTES + 8 * 1024;
/** Ciphertext that a stream may hand over at once. */
const INCOMING_BYTES = 64 * 1024;
/** A peer that does not take close_notify is reset after this. */
const CLOSE_DEADLINE_MS = 5_000;

// A channel inside a tunnel reads while the tunnel's own channel is still handing out its bytes: each level has its scratch.
const tcpScratch = allocScratch();
let nestedScratch: Slab | undefined;
const copyIn = allocSlab(64 * 1024);
const bioPair = allocPinned(16);

/** See OpenSecureChannel. @throws ENGINE_CREDENTIALS_INVALID when the credentials are closed */
export function openSecureChannel(
  engine: Engine,
  stream: ByteStream,
  options: SecureChannelOptions,
  handler: SecureChannelHandler,
): SecureChannel {
  return new TlsChannel(reactorOf(engine), stream, options, handler);
}

class TlsChannel implements SecureChannel, CipherEnd, FdHandler {
  readonly #reactor: Reactor;
  readonly #handler: SecureChannelHandler;
  readonly #ssl: number;
  /** Our end of the pair whose other end OpenSSL writes to (and reads from, inside a tunnel). */
  readonly #bio: number;
  readonly #transport: CipherTransport;
  readonly #scratch: Slab;
  readonly #nested: boolean;
  #state: "handshake" | "open" | "closing" | "closed" = "handshake";
  #unflushed = 0;
  #flushDue = false;
  #blocked = false;
  #wantedCapacity = false;
  #paused = false;
  #deadline: EngineTimer | undefined;

  constructor(reactor: Reactor, stream: ByteStream, options: SecureChannelOptions, handler: SecureChannelHandler) {
    this.#reactor = reactor;
    this.#handler = handler;
    this.#ssl = tlsCredentials(options.credentials).newSession(options.role);
    this.#nested = !(stream instanceof TcpStream);
    // A size of 0 would mean 17 KiB; nothing is ever written to the unused direction.
    openssl.BIO_new_bio_pair(bioPair.address, BACKLOG_BYTES, bioPair.address + 8, this.#nested ? INCOMING_BYTES : 1);
    const inner = readPointer(bioPair.view, 0);
    this.#bio = readPointer(bioPair.view, 8);
    if (stream instanceof TcpStream) {
      const fd = stream.release();
      openssl.SSL_set_bio(this.#ssl, openssl.BIO_new_socket(fd, 0), inner);
      this.#scratch = tcpScratch;
      this.#transport = new TcpCipherTransport(reactor, fd, this);
    } else {
      openssl.SSL_set_bio(this.#ssl, inner, inner);
      nestedScratch ??= allocScratch();
      this.#scratch = nestedScratch;
      this.#transport = new StreamCipherTransport(stream, this.#bio, this, () => this.#onTransportEnd());
    }
    // The first flight of a client; deferred because `onClosed` must not come before the caller has its channel.
    if (options.role === "client") reactor.defer(() => this.#continueHandshake());
  }

  capacity(): number {
    if (this.#state === "open" && !this.#blocked) return MAX_CHUNK_BYTES;
    this.#wantedCapacity = true;
    return 0;
  }

  write(slab: Slab, offset: number, length: number): void {
    if (this.#state !== "open" || length === 0) return;
    if (openssl.SSL_write(this.#ssl, slab.address + offset, length) !== length) {
      takeErrors();
      const message = `The peer does not read: ${CONTROL_RESERVE_BYTES} bytes of answers are waiting for it`;
      this.#failLater(engineError("ENGINE_TLS_BACKLOG", message));
      return;
    }
    this.#unflushed += length;
    if (this.#unflushed < FLUSH_ABOVE_BYTES || this.#blocked) this.#flushLater();
    else this.#flush();
  }

  writeBytes(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += copyIn.bytes.length) {
      const piece = bytes.subarray(at, at + copyIn.bytes.length);
      copyIn.bytes.set(piece);
      this.write(copyIn, 0, piece.length);
    }
  }

  pause(): void {
    this.#paused = true;
    if (this.#state !== "closed") this.#transport.setReading(false);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    // OpenSSL may hold records that the socket no longer announces. Not at once: `onData` must not come from inside this call.
    if (this.#state !== "closed") this.#reactor.again(this);
  }

  close(): void {
    if (this.#state === "handshake") {
      this.reset();
      return;
    }
    if (this.#state !== "open") return;
    openssl.SSL_shutdown(this.#ssl);
    this.#state = "closing";
    this.#deadline = this.#reactor.after(CLOSE_DEADLINE_MS, () => {
      const message = `The peer has not taken the end of the stream within ${CLOSE_DEADLINE_MS} ms`;
      this.#finish(engineError("ENGINE_TLS_BACKLOG", message), "reset");
    });
    this.#flushLater();
  }

  reset(): void {
    if (this.#state === "closed") return;
    this.#release("reset");
    this.#reactor.defer(() => this.#handler.onClosed(undefined));
  }

  onEvents(): void {
    this.onReadable();
    if (this.#state !== "closed" && !this.#paused) this.#transport.setReading(true);
  }

  onReadable(): void {
    if (this.#state === "handshake") this.#continueHandshake();
    // Data may have arrived with the last flight of the handshake.
    if ((this.#state === "open" || this.#state === "closing") && !this.#paused) this.#read();
  }

  onWritable(): void {
    this.#flush();
  }

  onBroken(error: MeshError): void {
    this.#finish(error, "reset");
  }

  #continueHandshake(): void {
    if (this.#state !== "handshake") return;
    const result = openssl.SSL_do_handshake(this.#ssl);
    if (result !== 1) {
      const reason = openssl.SSL_get_error(this.#ssl, result);
      if (reason === SSL_ERROR.wantRead || reason === SSL_ERROR.wantWrite) this.#flush();
      else this.#fail(this.#handshakeError(reason));
      return;
    }
    const protocol = alpnSelected(this.#ssl);
    if (protocol !== "h2") {
      this.#fail(
        engineError("ENGINE_TLS_FAILED", `The peer speaks "${protocol}" instead of h2 (ALPN); is port 15008 the right one?`),
      );
      return;
    }
    const peer = readPeerCertificate(this.#ssl);
    if (peer === undefined) {
      this.#fail(engineError("ENGINE_TLS_PEER_UNVERIFIED", "The peer has shown no verified certificate"));
      return;
    }
    this.#state = "open";
    this.#flushLater();
    this.#handler.onOpen(peer);
    if (this.#state === "open" && this.#wantedCapacity && !this.#blocked) this.#announceCapacity();
  }

  #read(): void {
    const scratch = this.#scratch;
    let length = 0;
    let ended: number | undefined;
    let more = true;
    while (length <= MAX_CHUNK_BYTES - RECORD_BYTES) {
      const count = openssl.SSL_read(this.#ssl, scratch.address + HEADROOM_BYTES + length, MAX_CHUNK_BYTES - length);
      if (count <= 0) {
        const reason = openssl.SSL_get_error(this.#ssl, count);
        if (reason !== SSL_ERROR.wantRead) ended = reason;
        more = false;
        break;
      }
      length += count;
      // Asking once more would make OpenSSL ask a socket that has just been emptied. A tunnel does not announce what the BIO still holds.
      if (!this.#nested && openssl.SSL_has_pending(this.#ssl) === 0) {
        more = false;
        break;
      }
    }
    if (length > 0 && this.#state === "open") this.#handler.onData(scratch, HEADROOM_BYTES, length);
    if (this.#state === "closed") return;
    if (ended !== undefined) this.#onEnded(ended);
    else if (more) this.#reactor.again(this);
  }

  #onEnded(reason: number): void {
    if (reason === SSL_ERROR.zeroReturn) {
      if (this.#state === "open") openssl.SSL_shutdown(this.#ssl);
      this.#transport.flush(this.#bio);
      this.#finish(undefined, "finish");
      return;
    }
    const reasons = takeErrors();
    if (this.#state === "closing") {
      // We have said that we end; how the peer takes its leave says nothing about what it received before.
      this.#finish(undefined, "reset");
      return;
    }
    const isTruncated = reason === SSL_ERROR.syscall || reasons.includes("unexpected eof while reading");
    this.#fail(isTruncated ? truncated() : engineError("ENGINE_TLS_FAILED", `TLS failed: ${reasons.join(", ")}`));
  }

  /** The tunnel below has ended its direction; what it carried is read already. */
  #onTransportEnd(): void {
    if (this.#state === "closing") this.#finish(undefined, "finish");
    else if (this.#state !== "closed") this.#fail(truncated());
  }

  #flushLater(): void {
    if (this.#flushDue) return;
    this.#flushDue = true;
    this.#reactor.defer(this.#deferredFlush);
  }

  readonly #deferredFlush = (): void => {
    this.#flushDue = false;
    this.#flush();
  };

  #flush(): void {
    if (this.#state === "closed") return;
    const wasBlocked = this.#blocked;
    this.#blocked = !this.#transport.flush(this.#bio);
    if (this.#blocked) return;
    this.#unflushed = 0;
    if (this.#state === "closing") this.#finish(undefined, "finish");
    else if (wasBlocked && this.#state === "open") this.#announceCapacity();
  }

  #announceCapacity(): void {
    this.#wantedCapacity = false;
    this.#handler.onWritable();
  }

  #handshakeError(reason: number): MeshError {
    const reasons = takeErrors();
    if (reasons.includes("certificate verify failed") || reasons.includes("peer did not return a certificate")) {
      const result = openssl.SSL_get_verify_result(this.#ssl);
      const why = result === 0 ? "it has sent none" : openssl.X509_verify_cert_error_string(result);
      return engineError("ENGINE_TLS_PEER_UNVERIFIED", `The peer's certificate is refused: ${why}`, { details: { reasons } });
    }
    const isEof = reason === SSL_ERROR.syscall || reasons.includes("unexpected eof while reading");
    const why = isEof ? "the peer closed the connection" : reasons.join(", ") || "no reason given";
    return engineError("ENGINE_TLS_FAILED", `TLS handshake failed: ${why}`, { details: { reasons } });
  }

  /** From the loop, when nothing of the handler is on the stack. Sends the alert that OpenSSL has written. */
  #fail(error: MeshError): void {
    this.#transport.flush(this.#bio);
    this.#finish(error, "finish");
  }

  /** From inside a call of the handler. */
  #failLater(error: MeshError): void {
    if (this.#state === "closed") return;
    this.#release("reset");
    this.#reactor.defer(() => this.#handler.onClosed(error));
  }

  #finish(error: MeshError | undefined, how: "finish" | "reset"): void {
    if (this.#state === "closed") return;
    this.#release(how);
    this.#handler.onClosed(error);
  }

  #release(how: "finish" | "reset"): void {
    this.#state = "closed";
    this.#deadline?.cancel();
    if (how === "finish") this.#transport.finish();
    else this.#transport.destroy();
    openssl.SSL_free(this.#ssl);
    openssl.BIO_free(this.#bio);
  }
}

function truncated(): MeshError {
  return engineError("ENGINE_TLS_TRUNCATED", "The peer's connection ended in the middle of the TLS stream (no close_notify)");
}

function tlsCredentials(credentials: Credentials): TlsCredentials {
  if (credentials instanceof TlsCredentials) return credentials;
  throw engineError("ENGINE_CREDENTIALS_INVALID", "These credentials were not made by the engine");
}
