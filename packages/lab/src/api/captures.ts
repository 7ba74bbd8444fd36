// Frames that pass a device of a node or pod, from one request of the API to the next.
import { randomUUID } from "node:crypto";
import { type Capture, openCapture, openNetns } from "@ambit/linux";
import { labError } from "../errors.ts";
import { netnsPath } from "../network/ip-batch.ts";
import type { CaptureResult } from "./contract.ts";

export interface CaptureTarget {
  /** Name of the namespace in /run/netns. */
  readonly netns: string;
  readonly device: string;
  /** After this long a capture that nobody has finished is thrown away. */
  readonly seconds: number;
  readonly maxBytes: number;
}

interface Entry {
  readonly capture: Capture;
  readonly timer: NodeJS.Timeout;
}

export class Captures {
  readonly #open = new Map<string, Entry>();

  /** Frames from now on. @throws LINUX_SYSTEM_CALL_FAILED, LINUX_DEVICE_UNSUPPORTED, LINUX_NETNS_INVALID */
  start({ netns, device, seconds, maxBytes }: CaptureTarget): string {
    const opened = openNetns(netnsPath(netns));
    try {
      const id = randomUUID();
      const capture = openCapture({ netns: opened, device, maxBytes });
      this.#open.set(id, { capture, timer: setTimeout(() => this.#close(id), seconds * 1000) });
      return id;
    } finally {
      opened.close();
    }
  }

  /** @throws LAB_NOT_FOUND when it was finished, or thrown away */
  finish(id: string): CaptureResult {
    const entry = this.#open.get(id);
    if (entry === undefined) throw labError("LAB_NOT_FOUND", `There is no capture ${id}: it was finished or its time was up`);
    try {
      const frames = entry.capture.read().map(({ bytes, atMs }) => ({ atMs, base64: Buffer.from(bytes).toString("base64") }));
      return { frames, dropped: entry.capture.dropped };
    } finally {
      this.#close(id);
    }
  }

  closeAll(): void {
    for (const id of [...this.#open.keys()]) this.#close(id);
  }

  #close(id: string): void {
    const entry = this.#open.get(id);
    if (entry === undefined) return;
    this.#open.delete(id);
    clearTimeout(entry.timer);
    entry.capture.close();
  }
}
