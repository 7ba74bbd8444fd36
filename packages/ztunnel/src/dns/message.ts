// DNS messages as far as a proxy reads and writes them. RFC 1035 section 4, RFC 6891 for EDNS.
import { type IpAddress, ipFamily, ipToBytes } from "@ambit/core";

export const TYPE = { A: 1, CNAME: 5, AAAA: 28, OPT: 41 } as const;
const CLASS_IN = 1;
export const RCODE = { noError: 0, formatError: 1, serverFailure: 2, nameError: 3, unsupported: 4 } as const;
/** What every client takes over UDP. */
const MIN_UDP_BYTES = 512;
/** What we answer at most over UDP, whatever the client claims: more would be fragmented. */
const MAX_UDP_BYTES = 1232;

export interface DnsQuery {
  readonly id: number;
  readonly opcode: number;
  readonly isResponse: boolean;
  readonly recursionDesired: boolean;
  /** Lower case, without the final dot; undefined unless there is exactly one question. */
  readonly question: DnsQuestion | undefined;
  /** UDP payload that the client takes, when it speaks EDNS. */
  readonly edns: { readonly udpBytes: number } | undefined;
}

export interface DnsQuestion {
  readonly name: string;
  readonly type: number;
  readonly isInternet: boolean;
  /** The question's bytes as they came, for the answer: clients compare the case of letters. */
  readonly bytes: Uint8Array;
}

/** undefined when it is no DNS message at all, and there is nobody to answer. */
export function parseQuery(bytes: Uint8Array): DnsQuery | undefined {
  if (bytes.length < 12) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint16(2);
  const head = {
    id: view.getUint16(0),
    opcode: (flags >> 11) & 0xf,
    isResponse: (flags & 0x8000) !== 0,
    recursionDesired: (flags & 0x0100) !== 0,
  };
  if (view.getUint16(4) !== 1) return { ...head, question: undefined, edns: undefined };
  const name = readName(bytes, 12);
  if (name === undefined || name.end + 4 > bytes.length) return { ...head, question: undefined, edns: undefined };
  const end = name.end + 4;
  const question = {
    name: name.text,
    type: view.getUint16(name.end),
    isInternet: view.getUint16(name.end + 2) === CLASS_IN,
    bytes: bytes.slice(12, end),
  };
  return { ...head, question, edns: readEdns(bytes, end, view.getUint16(10)) };
}

/** Only a query's additional section is looked at, and only its first record: that is where clients put OPT. */
function readEdns(bytes: Uint8Array, at: number, additional: number): DnsQuery["edns"] {
  if (additional === 0 || at + 11 > bytes.length || bytes[at] !== 0) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint16(at + 1) === TYPE.OPT ? { udpBytes: Math.max(MIN_UDP_BYTES, view.getUint16(at + 3)) } : undefined;
}

/** Compression does not occur in a first question; a pointer there is refused. */
function readName(bytes: Uint8Array, start: number): { readonly text: string; readonly end: number } | undefined {
  const labels: string[] = [];
  let at = start;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > 63 || at - start > 254) return undefined;
    if (length === 0) return { text: labels.join("."), end: at + 1 };
    const label = bytes.subarray(at + 1, at + 1 + length);
    if (label.length < length) return undefined;
    // A dot inside a label must not look like one between labels: the name would be another one here than at a nameserver.
    labels.push(
      String.fromCharCode(...label)
        .toLowerCase()
        .replaceAll(".", "\\."),
    );
    at += 1 + length;
  }
}

export interface DnsRecordSet {
  readonly addresses: readonly IpAddress[];
  /** The records' name when it is not the one asked for; a CNAME leads to it. */
  readonly alias: string | undefined;
  readonly ttlSeconds: number;
}

/** An answer of our own, authoritative. Cut to what the client takes when `isUdp`, with the TC bit set. */
export function encodeAnswer(query: DnsQuery, rcode: number, records: DnsRecordSet, isUdp: boolean): Uint8Array {
  const limit = isUdp ? Math.min(query.edns?.udpBytes ?? MIN_UDP_BYTES, MAX_UDP_BYTES) : 65_535;
  const question = query.question?.bytes ?? new Uint8Array(0);
  const opt = query.edns === undefined ? new Uint8Array(0) : encodeOpt();
  const owner = records.alias === undefined ? Uint8Array.of(0xc0, 12) : encodeName(records.alias);
  const answers: Uint8Array[] = [];
  if (records.alias !== undefined) answers.push(encodeRecord(Uint8Array.of(0xc0, 12), TYPE.CNAME, records.ttlSeconds, owner));
  for (const ip of records.addresses) {
    answers.push(encodeRecord(owner, ipFamily(ip) === 4 ? TYPE.A : TYPE.AAAA, records.ttlSeconds, ipToBytes(ip)));
  }
  let size = 12 + question.length + opt.length;
  const kept: Uint8Array[] = [];
  for (const answer of answers) {
    if (size + answer.length > limit) break;
    size += answer.length;
    kept.push(answer);
  }
  const isTruncated = kept.length < answers.length;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, query.id);
  const recursion = (query.recursionDesired ? 0x0100 : 0) | 0x0080;
  view.setUint16(2, 0x8000 | (query.opcode << 11) | 0x0400 | (isTruncated ? 0x0200 : 0) | recursion | rcode);
  view.setUint16(4, query.question === undefined ? 0 : 1);
  view.setUint16(6, kept.length);
  view.setUint16(10, opt.length === 0 ? 0 : 1);
  let at = 12;
  for (const part of [question, ...kept, opt]) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const NO_RECORDS: DnsRecordSet = { addresses: [], alias: undefined, ttlSeconds: 0 };

/** An answer that says only what went wrong. */
export function encodeFailure(query: DnsQuery, rcode: number): Uint8Array {
  const bytes = encodeAnswer(query, rcode, NO_RECORDS, false);
  // Not authoritative: nothing is said about the name.
  bytes[2] = (bytes[2] ?? 0) & ~0x04;
  return bytes;
}

function encodeRecord(owner: Uint8Array, type: number, ttlSeconds: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(owner.length + 10 + data.length);
  bytes.set(owner, 0);
  const view = new DataView(bytes.buffer, owner.length);
  view.setUint16(0, type);
  view.setUint16(2, CLASS_IN);
  view.setUint32(4, ttlSeconds);
  view.setUint16(8, data.length);
  bytes.set(data, owner.length + 10);
  return bytes;
}

function encodeOpt(): Uint8Array {
  return Uint8Array.of(0, 0, TYPE.OPT, MAX_UDP_BYTES >> 8, MAX_UDP_BYTES & 0xff, 0, 0, 0, 0, 0, 0);
}

function encodeName(name: string): Uint8Array {
  const bytes: number[] = [];
  for (const label of name.split(".")) bytes.push(label.length, ...new TextEncoder().encode(label));
  return Uint8Array.from([...bytes, 0]);
}

/** A question of our own. */
export function encodeQuery(id: number, name: string, type: number): Uint8Array {
  const encoded = encodeName(name);
  const bytes = new Uint8Array(12 + encoded.length + 4);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, id);
  view.setUint16(2, 0x0100);
  view.setUint16(4, 1);
  bytes.set(encoded, 12);
  view.setUint16(12 + encoded.length, type);
  view.setUint16(14 + encoded.length, CLASS_IN);
  return bytes;
}

export interface UpstreamAnswer {
  readonly rcode: number;
  readonly isTruncated: boolean;
  readonly addresses: readonly { readonly bytes: Uint8Array; readonly ttlSeconds: number }[];
}

/** The addresses in a server's answer; undefined when the message is malformed. */
export function parseAnswer(bytes: Uint8Array): UpstreamAnswer | undefined {
  if (bytes.length < 12) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint16(2);
  let at = 12;
  for (let i = 0; i < view.getUint16(4); i++) {
    const end = skipName(bytes, at);
    if (end === undefined) return undefined;
    at = end + 4;
  }
  const addresses: { bytes: Uint8Array; ttlSeconds: number }[] = [];
  for (let i = 0; i < view.getUint16(6); i++) {
    const end = skipName(bytes, at);
    if (end === undefined || end + 10 > bytes.length) return undefined;
    const type = view.getUint16(end);
    const length = view.getUint16(end + 8);
    const data = bytes.slice(end + 10, end + 10 + length);
    if (data.length < length) return undefined;
    if ((type === TYPE.A && length === 4) || (type === TYPE.AAAA && length === 16)) {
      addresses.push({ bytes: data, ttlSeconds: view.getUint32(end + 4) });
    }
    at = end + 10 + length;
  }
  return { rcode: flags & 0xf, isTruncated: (flags & 0x0200) !== 0, addresses };
}

function skipName(bytes: Uint8Array, start: number): number | undefined {
  let at = start;
  for (;;) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length === 0) return at + 1;
    if ((length & 0xc0) === 0xc0) return at + 2;
    if (length > 63) return undefined;
    at += 1 + length;
  }
}
