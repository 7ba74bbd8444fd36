// What TLS 1.3 derives from a handshake traffic secret, and the records that it opens. RFC 8446 sections 5.2, 5.3, 7.1, 7.3
import { createDecipheriv, createHmac } from "node:crypto";
import { RECORD, type TlsRecord } from "./tls-records.ts";

export interface CipherSuite {
  readonly name: string;
  readonly cipher: "aes-128-gcm" | "aes-256-gcm";
  readonly keyBytes: number;
  readonly hash: "sha256" | "sha384";
  readonly hashBytes: number;
}

const SUITES: ReadonlyMap<number, CipherSuite> = new Map([
  [0x1301, { name: "TLS_AES_128_GCM_SHA256", cipher: "aes-128-gcm", keyBytes: 16, hash: "sha256", hashBytes: 32 }],
  [0x1302, { name: "TLS_AES_256_GCM_SHA384", cipher: "aes-256-gcm", keyBytes: 32, hash: "sha384", hashBytes: 48 }],
]);

const IV_BYTES = 12;
const TAG_BYTES = 16;

/** undefined for a suite that the mesh does not use. */
export function cipherSuite(id: number): CipherSuite | undefined {
  return SUITES.get(id);
}

/** HKDF-Expand-Label with an empty context. */
export function expandLabel(suite: CipherSuite, secret: Uint8Array, label: string, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`, "latin1");
  const info = Buffer.concat([Buffer.from([length >> 8, length & 0xff, name.length]), name, Buffer.from([0])]);
  const blocks: Buffer[] = [];
  let block: Buffer = Buffer.alloc(0);
  for (let i = 1; (i - 1) * suite.hashBytes < length; i++) {
    block = createHmac(suite.hash, secret)
      .update(block)
      .update(info)
      .update(Buffer.from([i]))
      .digest();
    blocks.push(block);
  }
  return Buffer.concat(blocks).subarray(0, length);
}

export interface OpenedRecord {
  readonly type: number;
  readonly content: Uint8Array;
}

/** Opens one side's encrypted handshake records, in order. */
export class HandshakeCipher {
  readonly #suite: CipherSuite;
  readonly #key: Buffer;
  readonly #iv: Buffer;
  #sequence = 0;

  constructor(suite: CipherSuite, secret: Uint8Array) {
    this.#suite = suite;
    this.#key = expandLabel(suite, secret, "key", suite.keyBytes);
    this.#iv = expandLabel(suite, secret, "iv", IV_BYTES);
  }

  /** undefined when the record was not made with this key at this position; the position then stays. */
  open({ type, header, fragment }: TlsRecord): OpenedRecord | undefined {
    if (type !== RECORD.applicationData || fragment.length <= TAG_BYTES) return undefined;
    const end = fragment.length - TAG_BYTES;
    const decipher = createDecipheriv(this.#suite.cipher, this.#key, this.#nonce());
    decipher.setAAD(header);
    decipher.setAuthTag(fragment.subarray(end));
    const plain = decipher.update(fragment.subarray(0, end));
    try {
      decipher.final();
    } catch {
      // The tag does not fit: this is the one reason final() has.
      return undefined;
    }
    this.#sequence++;
    return withoutPadding(plain);
  }

  #nonce(): Buffer {
    const nonce = Buffer.from(this.#iv);
    nonce.writeUInt32BE((nonce.readUInt32BE(IV_BYTES - 4) ^ this.#sequence) >>> 0, IV_BYTES - 4);
    return nonce;
  }
}

/** The content's type is its last byte that is not zero. */
function withoutPadding(plain: Uint8Array): OpenedRecord {
  let end = plain.length - 1;
  while (end > 0 && plain[end] === 0) end--;
  return { type: plain[end] ?? 0, content: plain.subarray(0, end) };
}
