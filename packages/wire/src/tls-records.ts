// TLS records: taken off a stream's beginning, and watched until its end.

export const RECORD = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;

export interface TlsRecord {
  readonly type: number;
  /** The five bytes before the fragment: authenticated with it when it is encrypted. */
  readonly header: Uint8Array;
  readonly fragment: Uint8Array;
}

const HEADER_BYTES = 5;
/** RFC 8446 section 5.2: 2^14 and 256 more for what encryption adds. TLS 1.2 allows 2048 more. */
const MAX_FRAGMENT_BYTES = 16 * 1024 + 2048;

/** The whole records at the beginning of `bytes`; ends before the first thing that is none. */
export function readRecords(bytes: Uint8Array): TlsRecord[] {
  const records: TlsRecord[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const header = bytes.subarray(at, at + HEADER_BYTES);
    const length = fragmentLength(header);
    if (length === undefined || at + HEADER_BYTES + length > bytes.length) break;
    records.push({ type: header[0] ?? 0, header, fragment: bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length) });
    at += HEADER_BYTES + length;
  }
  return records;
}

function fragmentLength(header: Uint8Array): number | undefined {
  const [type = 0, major, minor = 0, high = 0, low = 0] = header;
  const length = high * 256 + low;
  if (type < RECORD.changeCipherSpec || type > RECORD.applicationData || major !== 3 || minor > 4) return undefined;
  return length > MAX_FRAGMENT_BYTES ? undefined : length;
}

/** Follows a stream of any length: does it consist of records from the first byte to the last? */
export class RecordWatch {
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  #fragmentLeft = 0;
  #isBroken = false;
  #records = 0;

  /** True while everything seen so far fits; the last record may be unfinished. */
  get isRecords(): boolean {
    return !this.#isBroken && this.#records > 0;
  }

  get records(): number {
    return this.#records;
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && !this.#isBroken) {
      if (this.#fragmentLeft > 0) {
        const step = Math.min(this.#fragmentLeft, bytes.length - at);
        this.#fragmentLeft -= step;
        at += step;
        continue;
      }
      this.#header[this.#headerBytes++] = bytes[at++] ?? 0;
      if (this.#headerBytes < HEADER_BYTES) continue;
      this.#headerBytes = 0;
      const length = fragmentLength(this.#header);
      if (length === undefined) this.#isBroken = true;
      else {
        this.#fragmentLeft = length;
        this.#records++;
      }
    }
  }
}
