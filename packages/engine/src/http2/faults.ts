// HTTP/2 error codes, what of ours they become, and the exception that codec and session use between themselves.
import { type ErrorSpec, MeshError } from "@ambit/core";

/** RFC 9113 section 7. */
export const H2 = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
} as const;

const NAMES = Object.keys(H2);

export function h2CodeName(code: number): string {
  return NAMES[code] ?? `code ${code}`;
}

export type Http2ErrorCode =
  | "ENGINE_HTTP2_PROTOCOL_BROKEN"
  | "ENGINE_HTTP2_FLOODED"
  | "ENGINE_HTTP2_GOAWAY"
  | "ENGINE_HTTP2_REFUSED"
  | "ENGINE_HTTP2_PEER_SILENT"
  | "ENGINE_HTTP2_SESSION_CLOSED"
  | "ENGINE_HTTP2_HEADERS_INVALID"
  | "ENGINE_HTTP2_INTERNAL";

export const http2Errors = {
  ENGINE_HTTP2_PROTOCOL_BROKEN: {
    summary: "The peer broke a rule of HTTP/2; `details.http2Code` is what it was told",
    retry: "no",
    flag: "H2_HANDSHAKE_FAILURE",
  },
  ENGINE_HTTP2_FLOODED: {
    summary: "The peer sent more of some frame than any honest one needs",
    retry: "no",
    flag: "H2_HANDSHAKE_FAILURE",
  },
  ENGINE_HTTP2_GOAWAY: { summary: "The peer ended the session with an error", retry: "later", flag: "CONNECT" },
  ENGINE_HTTP2_REFUSED: {
    summary: "The peer did not process the request, it is safe to send it again",
    retry: "yes",
    flag: "CONNECT",
  },
  ENGINE_HTTP2_PEER_SILENT: {
    summary: "Nothing came from the peer, not even the answer to a PING",
    retry: "later",
    flag: "CONNECT",
  },
  ENGINE_HTTP2_SESSION_CLOSED: { summary: "The connection below ended while streams were open", retry: "later", flag: "CONNECT" },
  ENGINE_HTTP2_HEADERS_INVALID: { summary: "A header list cannot be sent or is malformed", retry: "no" },
  ENGINE_HTTP2_INTERNAL: { summary: "A mistake of our own while a frame was handled; the session was ended", retry: "no" },
} satisfies Record<Http2ErrorCode, ErrorSpec>;

/** A broken rule. `streamId` 0 ends the connection, another one only that stream. Never leaves `http2/`. */
export class Http2Fault extends Error {
  readonly h2Code: number;
  readonly streamId: number;

  constructor(h2Code: number, message: string, streamId = 0) {
    super(message);
    this.h2Code = h2Code;
    this.streamId = streamId;
  }

  /** What the rest of the engine gets to see. */
  toMeshError(): MeshError {
    const code: Http2ErrorCode = this.h2Code === H2.ENHANCE_YOUR_CALM ? "ENGINE_HTTP2_FLOODED" : "ENGINE_HTTP2_PROTOCOL_BROKEN";
    return new MeshError(code, `${this.message} (${h2CodeName(this.h2Code)})`, { details: { http2Code: this.h2Code } });
  }
}
