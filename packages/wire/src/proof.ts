// Whether a side of a handshake holds the key of the certificate it shows: its signature and its Finished, checked over the transcript.
import { constants, createHash, createHmac, timingSafeEqual, verify, type X509Certificate } from "node:crypto";
import { type CipherSuite, expandLabel } from "./handshake-cipher.ts";
import type { CertificateVerify } from "./handshake-messages.ts";

/** Both hellos and everything after them, in the order of the handshake. RFC 8446 section 4.4.1 */
export class Transcript {
  readonly #hash: CipherSuite["hash"];
  readonly #messages: Uint8Array[] = [];

  constructor(hash: CipherSuite["hash"]) {
    this.#hash = hash;
  }

  add(raw: Uint8Array): void {
    this.#messages.push(raw);
  }

  /** After a HelloRetryRequest the first ClientHello counts by its hash alone. */
  addFirstHelloOfTwo(raw: Uint8Array): void {
    const digest = createHash(this.#hash).update(raw).digest();
    this.#messages.push(Buffer.from([254, 0, 0, digest.length]), digest);
  }

  digest(): Buffer {
    const hash = createHash(this.#hash);
    for (const message of this.#messages) hash.update(message);
    return hash.digest();
  }
}

interface Scheme {
  readonly hash: string | undefined;
  readonly isPss: boolean;
}

/** Signature schemes that TLS 1.3 allows in CertificateVerify. RFC 8446 section 4.2.3 */
const SCHEMES: ReadonlyMap<number, Scheme> = new Map([
  [0x0403, { hash: "sha256", isPss: false }],
  [0x0503, { hash: "sha384", isPss: false }],
  [0x0603, { hash: "sha512", isPss: false }],
  [0x0804, { hash: "sha256", isPss: true }],
  [0x0805, { hash: "sha384", isPss: true }],
  [0x0806, { hash: "sha512", isPss: true }],
  [0x0807, { hash: undefined, isPss: false }],
  [0x0808, { hash: undefined, isPss: false }],
]);

/** @param digest of the transcript up to and with the side's Certificate. RFC 8446 section 4.4.3 */
export function isSignedBy(
  certificate: X509Certificate,
  side: "client" | "server",
  digest: Uint8Array,
  proof: CertificateVerify,
): boolean {
  const scheme = SCHEMES.get(proof.scheme);
  if (scheme === undefined) return false;
  const context = Buffer.from(`${" ".repeat(64)}TLS 1.3, ${side} CertificateVerify\0`, "latin1");
  const key = certificate.publicKey;
  const options = scheme.isPss
    ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : key;
  return verify(scheme.hash, Buffer.concat([context, digest]), options, proof.signature);
}

/** @param digest of the transcript before the Finished. RFC 8446 section 4.4.4 */
export function isFinishedBy(suite: CipherSuite, secret: Uint8Array, digest: Uint8Array, finished: Uint8Array): boolean {
  const key = expandLabel(suite, secret, "finished", suite.hashBytes);
  const expected = createHmac(suite.hash, key).update(digest).digest();
  return expected.length === finished.length && timingSafeEqual(expected, finished);
}
