// One certificate generation as a TLS context of OpenSSL.
import { asSpiffeId, type SpiffeId } from "@ambit/core";
import { allocPinned } from "@ambit/linux/syscalls";
import type { Credentials, CredentialsPem } from "./contract.ts";
import { engineError } from "./errors.ts";
import { addSecretSource, removeSecretSource } from "./handshake-secrets.ts";
import { ALPN_H2, certificateNotAfterMs, certificateUris, openssl, selectH2Callback, takeErrors } from "./openssl.ts";

/** First what ztunnel offers first; with AES instructions the two differ by less than a measurement's spread. @source ztunnel src/tls/lib.rs */
const CIPHER_SUITES = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256";
const GROUPS = "X25519MLKEM768:X25519:P-256";
/** One system call fetches eight full records: 128 KiB and what encryption adds. */
const READ_BUFFER_BYTES = 132 * 1024;

// Commands of SSL_CTX_ctrl(3), which the manual documents as macros.
const CTRL_CHAIN_CERT = 89;
const CTRL_SET_GROUPS_LIST = 92;
const CTRL_MODE = 33;
const CTRL_SET_READ_AHEAD = 41;
const CTRL_SET_SESSION_CACHE_MODE = 44;
const CTRL_SET_MIN_PROTO_VERSION = 123;
const CTRL_SET_MAX_PROTO_VERSION = 124;

const TLS1_3 = 0x0304;
/** A retried write may come from another address: slabs are shared. Partial writes stay off, so that a write takes all or nothing. */
const MODE_ACCEPT_MOVING_WRITE_BUFFER = 2;
const OP_NO_TICKET = 0x4000;
const OP_NO_RENEGOTIATION = 0x4000_0000;
const VERIFY_PEER_REQUIRED = 3;
/** Every certificate in `roots` is an anchor, also one that is not self-signed. */
const X509_V_FLAG_PARTIAL_CHAIN = 0x80000;

const groups = allocPinned(64);
Buffer.from(groups.bytes.buffer).write(`${GROUPS}\0`, "latin1");

export class TlsCredentials implements Credentials {
  readonly identity: SpiffeId;
  readonly notAfterMs: number;
  #context: number;

  /** @throws ENGINE_CREDENTIALS_INVALID */
  constructor(pem: CredentialsPem) {
    this.#context = newContext();
    addSecretSource(this.#context);
    try {
      const leaf = loadChain(this.#context, pem.certChain);
      loadKey(this.#context, pem.privateKey);
      loadRoots(this.#context, pem.roots);
      this.identity = leaf.identity;
      this.notAfterMs = leaf.notAfterMs;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** A new SSL object; it holds its own reference to the context. @throws ENGINE_CREDENTIALS_INVALID after `close()` */
  newSession(role: "client" | "server"): number {
    if (this.#context === 0) throw invalid(`The credentials of ${this.identity} are closed`);
    const ssl = openssl.SSL_new(this.#context);
    if (ssl === 0) throw invalid("SSL_new failed");
    if (role === "client") openssl.SSL_set_connect_state(ssl);
    else openssl.SSL_set_accept_state(ssl);
    return ssl;
  }

  close(): void {
    if (this.#context === 0) return;
    removeSecretSource(this.#context);
    openssl.SSL_CTX_free(this.#context);
    this.#context = 0;
  }
}

function newContext(): number {
  const context = openssl.SSL_CTX_new(openssl.TLS_method());
  if (context === 0) throw invalid("SSL_CTX_new failed");
  openssl.SSL_CTX_ctrl(context, CTRL_SET_MIN_PROTO_VERSION, TLS1_3, 0);
  openssl.SSL_CTX_ctrl(context, CTRL_SET_MAX_PROTO_VERSION, TLS1_3, 0);
  ensure(openssl.SSL_CTX_set_ciphersuites(context, CIPHER_SUITES) === 1, "No AES-GCM cipher suite");
  ensure(
    openssl.SSL_CTX_ctrl(context, CTRL_SET_GROUPS_LIST, 0, groups.address) === 1,
    `Not all key exchange groups of ${GROUPS}`,
  );
  openssl.SSL_CTX_set_options(context, OP_NO_TICKET + OP_NO_RENEGOTIATION);
  openssl.SSL_CTX_set_num_tickets(context, 0);
  openssl.SSL_CTX_ctrl(context, CTRL_SET_SESSION_CACHE_MODE, 0, 0);
  openssl.SSL_CTX_ctrl(context, CTRL_MODE, MODE_ACCEPT_MOVING_WRITE_BUFFER, 0);
  openssl.SSL_CTX_ctrl(context, CTRL_SET_READ_AHEAD, 1, 0);
  openssl.SSL_CTX_set_default_read_buffer_len(context, READ_BUFFER_BYTES);
  openssl.SSL_CTX_set_verify(context, VERIFY_PEER_REQUIRED, 0);
  openssl.SSL_CTX_set_alpn_protos(context, ALPN_H2.address, ALPN_H2.bytes.length);
  openssl.SSL_CTX_set_alpn_select_cb(context, selectH2Callback(), 0);
  return context;
}

function loadChain(context: number, text: string): { identity: SpiffeId; notAfterMs: number } {
  const [leaf, ...intermediates] = readCertificates(text, "certificate chain");
  if (leaf === undefined) throw invalid("The certificate chain is empty");
  try {
    ensure(openssl.SSL_CTX_use_certificate(context, leaf) === 1, "The leaf certificate cannot be used");
    for (const x509 of intermediates) {
      ensure(openssl.SSL_CTX_ctrl(context, CTRL_CHAIN_CERT, 1, x509) === 1, "An intermediate certificate cannot be used");
    }
    const uris = certificateUris(leaf);
    const identity = uris.length === 1 ? asSpiffeId(uris[0] ?? "") : undefined;
    if (identity === undefined) throw invalid(`The certificate must name exactly one SPIFFE ID, not [${uris.join(", ")}]`);
    return { identity, notAfterMs: certificateNotAfterMs(leaf) };
  } finally {
    for (const x509 of [leaf, ...intermediates]) openssl.X509_free(x509);
  }
}

function loadKey(context: number, text: string): void {
  const key = withBio(text, (bio) => openssl.PEM_read_bio_PrivateKey(bio, 0, 0, 0));
  if (key === 0) throw invalid("The private key is no PEM key");
  try {
    ensure(openssl.SSL_CTX_use_PrivateKey(context, key) === 1, "The private key does not belong to the certificate");
    ensure(openssl.SSL_CTX_check_private_key(context) === 1, "The private key does not belong to the certificate");
  } finally {
    openssl.EVP_PKEY_free(key);
  }
}

function loadRoots(context: number, text: string): void {
  const store = openssl.SSL_CTX_get_cert_store(context);
  const roots = readCertificates(text, "roots");
  if (roots.length === 0) throw invalid("There is no root certificate");
  for (const x509 of roots) {
    const added = openssl.X509_STORE_add_cert(store, x509) === 1;
    openssl.X509_free(x509);
    ensure(added, "A root certificate cannot be used");
  }
  openssl.X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
}

/** All certificates of a PEM text; whoever calls frees them. */
function readCertificates(text: string, what: string): number[] {
  const certificates: number[] = [];
  withBio(text, (bio) => {
    for (let x509 = readX509(bio); x509 !== 0; x509 = readX509(bio)) certificates.push(x509);
    return 0;
  });
  // The end of the text is reported as an error too; only one that stands for a broken certificate counts.
  const reasons = takeErrors().filter((reason) => reason !== "no start line");
  const expected = text.split("-----BEGIN CERTIFICATE-----").length - 1;
  if (reasons.length === 0 && certificates.length === expected) return certificates;
  for (const x509 of certificates) openssl.X509_free(x509);
  throw invalid(`Certificate ${certificates.length + 1} of the ${what} is broken: ${reasons.join(", ") || "not PEM"}`);
}

function readX509(bio: number): number {
  return openssl.PEM_read_bio_X509(bio, 0, 0, 0);
}

function withBio(text: string, action: (bio: number) => number): number {
  const bytes = new TextEncoder().encode(text);
  const bio = openssl.BIO_new(openssl.BIO_s_mem());
  try {
    ensure(openssl.BIO_write(bio, bytes, bytes.length) === bytes.length, "PEM text is empty");
    return action(bio);
  } finally {
    openssl.BIO_free(bio);
  }
}

function ensure(condition: boolean, what: string): void {
  if (condition) return;
  throw invalid(`${what}: ${takeErrors().join(", ") || "OpenSSL gives no reason"}`);
}

function invalid(message: string): Error {
  return engineError("ENGINE_CREDENTIALS_INVALID", message);
}
