// A TLS handshake read from both directions' first bytes: what was agreed, and with handshake secrets who proved to be whom.
import { X509Certificate } from "node:crypto";
import { asSpiffeId, type SpiffeId } from "@ambit/core";
import { decompressCertificate } from "./compressed-certificate.ts";
import { type CipherSuite, cipherSuite, HandshakeCipher } from "./handshake-cipher.ts";
import {
  agreedAlpn,
  type ClientHello,
  type HandshakeMessage,
  MESSAGE,
  MessageBuffer,
  parseCertificate,
  parseCertificateVerify,
  parseClientHello,
  parseServerHello,
  type ServerHello,
  TLS13,
} from "./handshake-messages.ts";
import type { SecretsByRandom } from "./key-log.ts";
import { isFinishedBy, isSignedBy, Transcript } from "./proof.ts";
import { RECORD, readRecords, type TlsRecord } from "./tls-records.ts";

export interface TlsSession {
  readonly clientHello: ClientHello;
  /** undefined when the server has not answered. */
  readonly serverHello: ServerHello | undefined;
  readonly suiteName: string | undefined;
  /** The agreed one, which TLS 1.3 encrypts: undefined without the server's handshake secret. */
  readonly alpn: string | undefined;
  readonly client: Proof;
  readonly server: Proof;
}

/** Either an identity whose key the side has shown to hold, or why there is none. */
export type Proof =
  | { readonly identity: SpiffeId; readonly missing: undefined }
  | { readonly identity: undefined; readonly missing: string };

/** undefined when the client's bytes do not begin with a ClientHello. */
export function readTlsSession(up: Uint8Array, down: Uint8Array, secrets: SecretsByRandom): TlsSession | undefined {
  const upRecords = readRecords(up);
  const downRecords = readRecords(down);
  const clientHellos = plainMessages(upRecords, MESSAGE.clientHello);
  const clientHello = clientHellos[0] && parseClientHello(clientHellos[0].body);
  if (clientHello === undefined) return undefined;
  const serverHellos = plainMessages(downRecords, MESSAGE.serverHello);
  const last = serverHellos.at(-1);
  const serverHello = last && parseServerHello(last.body);
  const suite = serverHello && cipherSuite(serverHello.cipherSuite);
  const session = { clientHello, serverHello, suiteName: suite?.name };
  const without = (missing: string): TlsSession => ({
    ...session,
    alpn: undefined,
    client: none(missing),
    server: none(missing),
  });

  if (serverHello === undefined || serverHello.isRetryRequest) return without("the server's hello was not captured");
  if (serverHello.version !== TLS13) return without("this is not TLS 1.3");
  if (suite === undefined) return without(`cipher suite 0x${serverHello.cipherSuite.toString(16)} is not one of the mesh`);
  const known = secrets.get(clientHello.random);
  if (known === undefined) return without("no proxy has given the secrets of this handshake");

  const transcript = new Transcript(suite.hash);
  for (const [i, hello] of clientHellos.entries()) {
    const isFirstOfTwo = i === 0 && clientHellos.length > 1;
    if (isFirstOfTwo) transcript.addFirstHelloOfTwo(hello.raw);
    else transcript.add(hello.raw);
    const answer = serverHellos[i];
    if (answer !== undefined) transcript.add(answer.raw);
  }
  if (known.server === undefined) return without("the server's handshake secret is missing");
  const server = readFlight({ side: "server", suite, secret: known.server, transcript, records: downRecords });
  if (!server.isFinished)
    return { ...session, alpn: server.alpn, client: none("the server's part is not proven"), server: server.proof };
  if (known.client === undefined) {
    return { ...session, alpn: server.alpn, client: none("the client's handshake secret is missing"), server: server.proof };
  }
  const client = readFlight({
    side: "client",
    suite,
    secret: known.client,
    transcript,
    records: upRecords,
    mayHaveEarlyData: clientHello.offersEarlyData,
  });
  return { ...session, alpn: server.alpn, client: client.proof, server: server.proof };
}

function plainMessages(records: readonly TlsRecord[], type: number): HandshakeMessage[] {
  const buffer = new MessageBuffer();
  const messages: HandshakeMessage[] = [];
  for (const record of records) {
    if (record.type === RECORD.applicationData) break;
    if (record.type === RECORD.handshake) messages.push(...buffer.push(record.fragment));
  }
  return messages.filter((message) => message.type === type);
}

interface FlightInput {
  readonly side: "client" | "server";
  readonly suite: CipherSuite;
  readonly secret: Uint8Array;
  /** Everything before this flight; the flight's messages are added. */
  readonly transcript: Transcript;
  readonly records: readonly TlsRecord[];
  readonly mayHaveEarlyData?: boolean;
}

interface Flight {
  readonly alpn: string | undefined;
  readonly proof: Proof;
  readonly isFinished: boolean;
}

function readFlight(input: FlightInput): Flight {
  const { side, suite, secret, transcript } = input;
  let alpn: string | undefined;
  let certificate: X509Certificate | undefined;
  let missing = `the ${side}'s certificate was not captured`;
  let isSigned = false;
  for (const message of encryptedMessages(input)) {
    switch (message.type) {
      case MESSAGE.encryptedExtensions:
        alpn = agreedAlpn(message.body);
        break;
      case MESSAGE.certificate:
      case MESSAGE.compressedCertificate: {
        const leaf = certificateChain(message)?.[0];
        if (leaf === undefined) missing = `the ${side} showed no certificate`;
        else certificate = readX509(leaf);
        break;
      }
      case MESSAGE.certificateVerify: {
        const proof = parseCertificateVerify(message.body);
        isSigned = certificate !== undefined && proof !== undefined && isSignedBy(certificate, side, transcript.digest(), proof);
        if (!isSigned) missing = `the ${side}'s signature does not fit its certificate`;
        break;
      }
      case MESSAGE.finished: {
        if (!isFinishedBy(suite, secret, transcript.digest(), message.body)) {
          return { alpn, proof: none(`the ${side}'s Finished does not fit the handshake`), isFinished: false };
        }
        transcript.add(message.raw);
        return { alpn, proof: isSigned && certificate ? identityOf(certificate, side) : none(missing), isFinished: true };
      }
      default:
    }
    transcript.add(message.raw);
  }
  return { alpn, proof: none(`the ${side}'s part of the handshake is not complete`), isFinished: false };
}

function* encryptedMessages({ suite, secret, records, mayHaveEarlyData }: FlightInput): Generator<HandshakeMessage> {
  const cipher = new HandshakeCipher(suite, secret);
  const buffer = new MessageBuffer();
  let opened = 0;
  for (const record of records) {
    if (record.type !== RECORD.applicationData) continue;
    const plain = cipher.open(record);
    // What a client sends early is under another key and comes before its handshake.
    if (plain === undefined && opened === 0 && mayHaveEarlyData === true) continue;
    if (plain?.type !== RECORD.handshake) return;
    opened++;
    yield* buffer.push(plain.content);
  }
}

/** The transcript holds the message as it was sent, compressed or not. */
function certificateChain({ type, body }: HandshakeMessage): readonly Uint8Array[] | undefined {
  const plain = type === MESSAGE.compressedCertificate ? decompressCertificate(body) : body;
  return plain === undefined ? undefined : parseCertificate(plain);
}

function readX509(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der);
  } catch {
    // Not a certificate: the caller reports that nothing was proven with it.
    return undefined;
  }
}

function identityOf(certificate: X509Certificate, side: string): Proof {
  const uris = uriNames(certificate);
  const identity = uris.length === 1 ? asSpiffeId(uris[0] ?? "") : undefined;
  if (identity === undefined) return none(`the ${side}'s certificate names [${uris.join(", ")}], not exactly one SPIFFE ID`);
  return { identity, missing: undefined };
}

/** Node quotes a name that could be taken for several. */
function uriNames(certificate: X509Certificate): string[] {
  const text = certificate.subjectAltName ?? "";
  const names = text.matchAll(/(?:^|, )URI:("(?:[^"\\]|\\.)*"|[^,]*)/g);
  return [...names].map(([, name = ""]) => (name.startsWith('"') ? String(JSON.parse(name)) : name));
}

function none(missing: string): Proof {
  return { identity: undefined, missing };
}
