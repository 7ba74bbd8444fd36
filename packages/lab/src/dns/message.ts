// DNS messages as far as a cluster's server needs them: one question in, addresses out. RFC 1035.

export const TYPE_A = 1;
export const TYPE_AAAA = 28;
const CLASS_IN = 1;
const HEADER_LENGTH = 12;
const OPCODE_MASK = 0x7800;
const FLAG_RESPONSE = 0x8000;
const FLAG_AUTHORITATIVE = 0x0400;
const FLAG_TRUNCATED = 0x0200;
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RECURSION_AVAILABLE = 0x0080;
/** Points at the question's name. */
const NAME_POINTER = 0xc00c;

export const RCODE = { noError: 0, nameError: 3 } as const;

export interface Query {
  readonly id: number;
  readonly flags: number;
  /** Lower case, without the final dot. */
  readonly name: string;
  readonly type: number;
  /** The question section as it came. */
  readonly question: Buffer;
}

export interface Answer {
  readonly rcode: number;
  readonly type: number;
  /** Addresses in wire form. */
  readonly records: readonly Buffer[];
  readonly ttlS: number;
}

/** Undefined for what is no query with one question. */
export function parseQuery(message: Buffer): Query | undefined {
  if (message.length < HEADER_LENGTH) return undefined;
  const flags = message.readUInt16BE(2);
  if ((flags & (FLAG_RESPONSE | OPCODE_MASK)) !== 0 || message.readUInt16BE(4) !== 1) return undefined;
  const labels: string[] = [];
  let at = HEADER_LENGTH;
  for (;;) {
    const length = message[at];
    // A pointer in a question has nothing before it to point at.
    if (length === undefined || length > 63) return undefined;
    at += 1;
    if (length === 0) break;
    labels.push(message.toString("latin1", at, at + length).toLowerCase());
    at += length;
  }
  if (at + 4 > message.length || message.readUInt16BE(at + 2) !== CLASS_IN) return undefined;
  const question = message.subarray(HEADER_LENGTH, at + 4);
  return { id: message.readUInt16BE(0), flags, name: labels.join("."), type: message.readUInt16BE(at), question };
}

/** @param limit longest message that the transport takes: what does not fit is left out and said to be */
export function encodeAnswer(query: Query, answer: Answer, limit: number): Buffer {
  const records = answer.records.map((data) => record(answer.type, answer.ttlS, data));
  const fitting: Buffer[] = [];
  let length = HEADER_LENGTH + query.question.length;
  for (const item of records) {
    if (length + item.length > limit) break;
    fitting.push(item);
    length += item.length;
  }
  const header = Buffer.alloc(HEADER_LENGTH);
  const truncated = fitting.length < records.length ? FLAG_TRUNCATED : 0;
  const flags =
    FLAG_RESPONSE |
    FLAG_AUTHORITATIVE |
    FLAG_RECURSION_AVAILABLE |
    truncated |
    (query.flags & FLAG_RECURSION_DESIRED) |
    answer.rcode;
  header.writeUInt16BE(query.id, 0);
  header.writeUInt16BE(flags, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(fitting.length, 6);
  return Buffer.concat([header, query.question, ...fitting]);
}

function record(type: number, ttlS: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(NAME_POINTER, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(CLASS_IN, 4);
  head.writeUInt32BE(ttlS, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}
