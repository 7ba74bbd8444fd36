// Handshake messages of TLS: cut out of record fragments, and the hellos and certificates among them read. RFC 8446 section 4
import { ByteReader } from "./byte-reader.ts";

export const MESSAGE = {
  clientHello: 1,
  serverHello: 2,
  endOfEarlyData: 5,
  encryptedExtensions: 8,
  certificate: 11,
  certificateVerify: 15,
  finished: 20,
  compressedCertificate: 25,
} as const;

export const TLS13 = 0x0304;

const EXTENSION = { serverName: 0, alpn: 16, earlyData: 42, supportedVersions: 43 } as const;
const HOST_NAME = 0;
/** The random of a ServerHello that is a HelloRetryRequest. RFC 8446 section 4.1.3 */
const RETRY_RANDOM = "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c";
/** Nobody's certificate chain is longer; a length field beyond it is not one. */
const MAX_MESSAGE_BYTES = 256 * 1024;

export interface HandshakeMessage {
  readonly type: number;
  readonly body: Uint8Array;
  /** With its header, as the transcript hashes it. */
  readonly raw: Uint8Array;
}

/** Joins fragments and gives the messages that are whole; messages may span records, and records hold several. */
export class MessageBuffer {
  #bytes: Buffer = Buffer.alloc(0);

  push(fragment: Uint8Array): HandshakeMessage[] {
    this.#bytes = Buffer.concat([this.#bytes, fragment]);
    const messages: HandshakeMessage[] = [];
    for (;;) {
      const reader = new ByteReader(this.#bytes);
      const type = reader.uint(1);
      const length = reader.uint(3);
      if (length > MAX_MESSAGE_BYTES) return messages;
      const body = reader.take(length);
      if (!reader.ok) return messages;
      messages.push({ type, body, raw: this.#bytes.subarray(0, 4 + length) });
      this.#bytes = this.#bytes.subarray(4 + length);
    }
  }
}

export interface ClientHello {
  /** Lower-case hexadecimal: what a key log names a handshake by. */
  readonly random: string;
  readonly alpn: readonly string[];
  readonly serverName: string | undefined;
  readonly offersEarlyData: boolean;
}

export interface ServerHello {
  readonly version: number;
  readonly cipherSuite: number;
  readonly isRetryRequest: boolean;
}

export function parseClientHello(body: Uint8Array): ClientHello | undefined {
  const reader = new ByteReader(body);
  reader.take(2);
  const random = hex(reader.take(32));
  reader.vector(1);
  reader.vector(2);
  reader.vector(1);
  if (!reader.ok) return undefined;
  const extensions = readExtensions(reader);
  return {
    random,
    alpn: protocolNames(extensions.get(EXTENSION.alpn)),
    serverName: hostName(extensions.get(EXTENSION.serverName)),
    offersEarlyData: extensions.has(EXTENSION.earlyData),
  };
}

export function parseServerHello(body: Uint8Array): ServerHello | undefined {
  const reader = new ByteReader(body);
  const legacyVersion = reader.uint(2);
  const random = hex(reader.take(32));
  reader.vector(1);
  const cipherSuite = reader.uint(2);
  reader.take(1);
  if (!reader.ok) return undefined;
  const chosen = readExtensions(reader).get(EXTENSION.supportedVersions);
  const version = chosen === undefined ? legacyVersion : new ByteReader(chosen).uint(2);
  return { version, cipherSuite, isRetryRequest: random === RETRY_RANDOM };
}

/** The protocol that an EncryptedExtensions message agrees on. */
export function agreedAlpn(body: Uint8Array): string | undefined {
  return protocolNames(readExtensions(new ByteReader(body)).get(EXTENSION.alpn))[0];
}

/** DER of the chain, leaf first; undefined when the message is broken. */
export function parseCertificate(body: Uint8Array): Uint8Array[] | undefined {
  const reader = new ByteReader(body);
  reader.vector(1);
  const list = new ByteReader(reader.vector(3));
  const chain: Uint8Array[] = [];
  while (list.left > 0) {
    chain.push(list.vector(3));
    list.vector(2);
  }
  return reader.ok && list.ok ? chain : undefined;
}

export interface CertificateVerify {
  readonly scheme: number;
  readonly signature: Uint8Array;
}

export function parseCertificateVerify(body: Uint8Array): CertificateVerify | undefined {
  const reader = new ByteReader(body);
  const scheme = reader.uint(2);
  const signature = reader.vector(2);
  return reader.ok ? { scheme, signature } : undefined;
}

function readExtensions(reader: ByteReader): Map<number, Uint8Array> {
  const extensions = new Map<number, Uint8Array>();
  if (reader.left === 0) return extensions;
  const list = new ByteReader(reader.vector(2));
  while (list.left > 0) {
    const type = list.uint(2);
    const value = list.vector(2);
    if (list.ok) extensions.set(type, value);
  }
  return extensions;
}

function protocolNames(extension: Uint8Array | undefined): string[] {
  if (extension === undefined) return [];
  const list = new ByteReader(new ByteReader(extension).vector(2));
  const names: string[] = [];
  while (list.left > 0) {
    const name = list.vector(1);
    if (list.ok) names.push(Buffer.from(name).toString("latin1"));
  }
  return names;
}

function hostName(extension: Uint8Array | undefined): string | undefined {
  if (extension === undefined) return undefined;
  const list = new ByteReader(new ByteReader(extension).vector(2));
  const type = list.uint(1);
  const name = list.vector(2);
  return list.ok && type === HOST_NAME ? Buffer.from(name).toString("latin1") : undefined;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
