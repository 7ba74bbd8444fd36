// One TCP connection as captured: both directions followed to their ends, then judged.
import type { SocketAddress, SpiffeId } from "@ambit/core";
import type { TcpSegment } from "./frames.ts";
import { TLS13 } from "./handshake-messages.ts";
import type { SecretsByRandom } from "./key-log.ts";
import { readTlsSession, type TlsSession } from "./tls-session.ts";
import { WireSide } from "./wire-side.ts";

/** `unknown`: neither begins as TLS nor can be read as text, or its beginning was not captured. */
export type ConnectionKind = "tls13" | "tls-other" | "plaintext" | "unknown";

export interface ConnectionEvidence {
  /** Who opened the connection. */
  readonly source: SocketAddress;
  readonly destination: SocketAddress;
  readonly kind: ConnectionKind;
  /** What could not be shown, and why. */
  readonly notes: readonly string[];
  readonly cipherSuite: string | undefined;
  readonly serverName: string | undefined;
  /** As agreed; TLS 1.3 encrypts it. */
  readonly alpn: string | undefined;
  readonly clientIdentity: SpiffeId | undefined;
  readonly serverIdentity: SpiffeId | undefined;
  readonly containsMarker: boolean;
  /** It was opened while captured. */
  readonly hasBeginning: boolean;
  /** Every byte from the first to the last one captured, both ways. */
  readonly isWhole: boolean;
  /** Bytes of the TCP streams. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly firstAtMs: number;
  readonly lastAtMs: number;
}

const TEXT_SAMPLE_BYTES = 512;

export class WireConnection {
  readonly #first: TcpSegment;
  readonly #firstAtMs: number;
  /** Sent by the first segment's source. */
  readonly #forth: WireSide;
  readonly #back: WireSide;
  #lastAtMs: number;

  constructor(first: TcpSegment, atMs: number, marker: Uint8Array) {
    this.#first = first;
    this.#firstAtMs = atMs;
    this.#lastAtMs = atMs;
    this.#forth = new WireSide(marker);
    this.#back = new WireSide(marker);
    this.add(first, atMs);
  }

  accepts(segment: TcpSegment): boolean {
    return this.#sideOf(segment).accepts(segment);
  }

  add(segment: TcpSegment, atMs: number): void {
    this.#lastAtMs = Math.max(this.#lastAtMs, atMs);
    this.#sideOf(segment).add(segment);
  }

  judge(secrets: SecretsByRandom): ConnectionEvidence {
    this.#forth.finish();
    this.#back.finish();
    const isForthUp = this.#isForthUp();
    const [up, down] = isForthUp ? [this.#forth, this.#back] : [this.#back, this.#forth];
    const [source, destination] = isForthUp
      ? [this.#first.source, this.#first.destination]
      : [this.#first.destination, this.#first.source];
    const session = readTlsSession(up.beginning, down.beginning, secrets);
    const containsMarker = up.containsMarker || down.containsMarker;
    const isWhole = up.isWhole && down.isWhole;
    const kind = kindOf(up, down, session, containsMarker);
    return {
      source,
      destination,
      kind,
      notes: [...new Set(notesOf(kind, session, isWhole))],
      cipherSuite: session?.suiteName,
      serverName: session?.clientHello.serverName,
      alpn: session?.alpn,
      clientIdentity: session?.client.identity,
      serverIdentity: session?.server.identity,
      containsMarker,
      hasBeginning: up.hasBeginning && down.hasBeginning,
      isWhole,
      bytesUp: up.bytes,
      bytesDown: down.bytes,
      firstAtMs: this.#firstAtMs,
      lastAtMs: this.#lastAtMs,
    };
  }

  #sideOf({ source }: TcpSegment): WireSide {
    const { ip, port } = this.#first.source;
    return source.ip === ip && source.port === port ? this.#forth : this.#back;
  }

  #isForthUp(): boolean {
    if (this.#forth.isOpener) return true;
    if (this.#back.isOpener) return false;
    // Without its SYN: servers have the well-known, smaller port.
    return this.#first.source.port >= this.#first.destination.port;
  }
}

function kindOf(up: WireSide, down: WireSide, session: TlsSession | undefined, containsMarker: boolean): ConnectionKind {
  const areRecords = up.isRecords && down.isRecords;
  if (session?.serverHello !== undefined && areRecords) return session.serverHello.version === TLS13 ? "tls13" : "tls-other";
  if (containsMarker || isText(up.beginning) || isText(down.beginning)) return "plaintext";
  return "unknown";
}

function* notesOf(kind: ConnectionKind, session: TlsSession | undefined, isWhole: boolean): Generator<string> {
  if (kind === "unknown") {
    yield session === undefined
      ? "the beginning was not captured, or is no protocol known here"
      : "begins with a ClientHello, but does not go on as TLS records";
  }
  if (kind === "tls13" && session !== undefined) {
    if (session.server.missing !== undefined) yield session.server.missing;
    if (session.client.missing !== undefined) yield session.client.missing;
  }
  if (!isWhole) yield "some bytes were not captured";
}

/** Printable ASCII and line ends: the protocols that a person could read off the wire. */
function isText(beginning: Uint8Array): boolean {
  const sample = beginning.subarray(0, TEXT_SAMPLE_BYTES);
  return sample.length > 0 && sample.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 9 || byte === 10 || byte === 13);
}
