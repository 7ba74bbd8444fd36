// What the streams of one session share for receiving: the connection window, and how much of it is granted again when.
import type { ControlWriter } from "./control-writer.ts";
import { H2, Http2Fault } from "./faults.ts";
import { CONNECTION_WINDOW_BYTES, SESSION_UNCONSUMED_BYTES } from "./limits.ts";

/** Window is granted in quarters: few frames, and never an empty pipe. */
const GRANT_FROM_BYTES = CONNECTION_WINDOW_BYTES / 4;

/**
 * Connection window is granted on receipt, not on consumption: a stream whose reader stalls holds back at most its own window and not its
 * neighbours'. Memory stays bounded because above SESSION_UNCONSUMED_BYTES nothing more is granted.
 */
export class ReceiveSide {
  readonly #writer: ControlWriter;
  #window = CONNECTION_WINDOW_BYTES;
  #ungranted = 0;
  #unconsumed = 0;

  constructor(writer: ControlWriter) {
    this.#writer = writer;
  }

  get unconsumedBytes(): number {
    return this.#unconsumed;
  }

  /** A DATA frame of this length, padding included, has begun. @throws Http2Fault FLOW_CONTROL_ERROR */
  onFrame(length: number): void {
    this.#window -= length;
    if (this.#window < 0) throw new Http2Fault(H2.FLOW_CONTROL_ERROR, "Peer sends more than the connection window allows");
    this.#ungranted += length;
    this.#grant();
  }

  onDelivered(length: number): void {
    this.#unconsumed += length;
  }

  onConsumed(length: number): void {
    this.#unconsumed -= length;
    this.#grant();
  }

  grantStream(streamId: number, bytes: number): void {
    this.#writer.windowUpdate(streamId, bytes);
  }

  #grant(): void {
    if (this.#ungranted < GRANT_FROM_BYTES || this.#unconsumed > SESSION_UNCONSUMED_BYTES) return;
    this.#writer.windowUpdate(0, this.#ungranted);
    this.#window += this.#ungranted;
    this.#ungranted = 0;
  }
}
