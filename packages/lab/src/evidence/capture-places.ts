// Captures where a request must pass: on the wire between the nodes, and on the cable of the pod that asks.
import { type Capture, type CapturedPacket, openCapture, openNetns } from "@ambit/linux";
import { netnsPath } from "../network/ip-batch.ts";

export interface CapturePlace {
  /** Name of the namespace in /run/netns. */
  readonly netns: string;
  readonly device: string;
}

/** Frames of several devices as one capture: a frame that passes two of them is there twice, which evidence takes as sent again. */
export class PlacesCapture {
  readonly #captures: Capture[] = [];
  #dropped = 0;

  /** @throws LINUX_SYSTEM_CALL_FAILED, LINUX_NETNS_INVALID */
  constructor(places: readonly CapturePlace[]) {
    try {
      for (const { netns, device } of places) {
        const opened = openNetns(netnsPath(netns));
        try {
          this.#captures.push(openCapture({ netns: opened, device }));
        } finally {
          opened.close();
        }
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** In the order in which the kernel saw them. */
  read(): CapturedPacket[] {
    return this.#captures.flatMap((capture) => capture.read()).sort((a, b) => a.atMs - b.atMs);
  }

  get dropped(): number {
    return this.#captures.length === 0 ? this.#dropped : this.#captures.reduce((sum, { dropped }) => sum + dropped, 0);
  }

  close(): void {
    this.#dropped = this.dropped;
    for (const capture of this.#captures.splice(0)) capture.close();
  }
}
