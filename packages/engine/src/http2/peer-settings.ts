// SETTINGS: what the peer allows us, and what we tell it.
import { H2, Http2Fault } from "./faults.ts";
import {
  DEFAULT_MAX_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  LARGEST_MAX_FRAME_BYTES,
  LARGEST_WINDOW_BYTES,
  readUint16,
  readUint32,
  SETTING,
} from "./frames.ts";
import {
  CLIENT_HEADER_LIST_BYTES,
  MAX_FRAME_BYTES,
  SERVER_HEADER_LIST_BYTES,
  SERVER_MAX_STREAMS,
  STREAM_WINDOW_BYTES,
} from "./limits.ts";

/** Values in force; the defaults of RFC 9113 section 6.5.2 until the peer's frame arrives. */
export class PeerSettings {
  headerTableBytes = 4096;
  /** Infinity when the peer has set no limit. */
  maxConcurrentStreams = Number.POSITIVE_INFINITY;
  initialWindowBytes = DEFAULT_WINDOW_BYTES;
  maxFrameBytes = DEFAULT_MAX_FRAME_BYTES;
  received = false;
  readonly #role: "client" | "server";

  /** @param role ours */
  constructor(role: "client" | "server") {
    this.#role = role;
  }

  /** Takes over a frame's entries. @throws Http2Fault when a value is out of range */
  apply(bytes: Uint8Array, offset: number, length: number): void {
    for (let at = offset; at < offset + length; at += 6) this.#applyOne(readUint16(bytes, at), readUint32(bytes, at + 2));
    this.received = true;
  }

  #applyOne(id: number, value: number): void {
    switch (id) {
      case SETTING.HEADER_TABLE_SIZE:
        this.headerTableBytes = value;
        return;
      case SETTING.ENABLE_PUSH:
        // Only a client may ask for pushes. RFC 9113 section 6.5.2.
        if (value > (this.#role === "server" ? 1 : 0))
          throw new Http2Fault(H2.PROTOCOL_ERROR, `SETTINGS_ENABLE_PUSH of ${value}`);
        return;
      case SETTING.MAX_CONCURRENT_STREAMS:
        this.maxConcurrentStreams = value;
        return;
      case SETTING.INITIAL_WINDOW_SIZE:
        if (value > LARGEST_WINDOW_BYTES) throw new Http2Fault(H2.FLOW_CONTROL_ERROR, `SETTINGS_INITIAL_WINDOW_SIZE of ${value}`);
        this.initialWindowBytes = value;
        return;
      case SETTING.MAX_FRAME_SIZE:
        if (value < DEFAULT_MAX_FRAME_BYTES || value > LARGEST_MAX_FRAME_BYTES) {
          throw new Http2Fault(H2.PROTOCOL_ERROR, `SETTINGS_MAX_FRAME_SIZE of ${value}`);
        }
        this.maxFrameBytes = value;
        return;
      default:
      // Unknown settings are ignored, and SETTINGS_MAX_HEADER_LIST_SIZE is advice. RFC 9113 section 6.5.2.
    }
  }
}

/** What we advertise. @source ztunnel src/proxy/h2/client.rs and server.rs; ambient-data-plane.md section 4.2 */
export const ADVERTISED: Readonly<Record<"client" | "server", readonly (readonly [id: number, value: number])[]>> = {
  client: [
    [SETTING.ENABLE_PUSH, 0],
    [SETTING.INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES],
    [SETTING.MAX_FRAME_SIZE, MAX_FRAME_BYTES],
    [SETTING.MAX_HEADER_LIST_SIZE, CLIENT_HEADER_LIST_BYTES],
  ],
  server: [
    [SETTING.MAX_CONCURRENT_STREAMS, SERVER_MAX_STREAMS],
    [SETTING.INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES],
    [SETTING.MAX_FRAME_SIZE, MAX_FRAME_BYTES],
    [SETTING.MAX_HEADER_LIST_SIZE, SERVER_HEADER_LIST_BYTES],
  ],
};
