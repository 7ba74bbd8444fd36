// What can go wrong between two proxies.
import { type ErrorSpec, hasCode, MeshError } from "@ambit/core";

export type HboneErrorCode =
  | "HBONE_CONNECT_FAILED"
  | "HBONE_TLS_FAILED"
  | "HBONE_PEER_UNVERIFIED"
  | "HBONE_HANDSHAKE_TIMED_OUT"
  | "HBONE_SESSION_LOST"
  | "HBONE_TUNNEL_RESET"
  | "HBONE_NOT_PROCESSED"
  | "HBONE_CREDENTIALS_EXPIRED"
  | "HBONE_POOL_CLOSED"
  | "HBONE_REQUEST_INVALID";

export const hboneErrors = {
  HBONE_CONNECT_FAILED: {
    summary: "The peer's proxy could not be reached over TCP",
    retry: "later",
    flag: "CONNECT",
    httpStatus: 503,
  },
  HBONE_TLS_FAILED: {
    summary: "The TLS handshake with the peer's proxy failed",
    retry: "later",
    flag: "TLS_FAILURE",
    httpStatus: 503,
  },
  HBONE_PEER_UNVERIFIED: {
    summary: "The peer has proved no identity, or another one than expected",
    retry: "no",
    flag: "TLS_FAILURE",
    httpStatus: 503,
  },
  HBONE_HANDSHAKE_TIMED_OUT: {
    summary: "The TLS handshake did not end in time",
    retry: "later",
    flag: "TLS_FAILURE",
    httpStatus: 503,
  },
  HBONE_SESSION_LOST: {
    summary: "The session ended before the tunnel was answered",
    retry: "later",
    flag: "H2_HANDSHAKE_FAILURE",
    httpStatus: 503,
  },
  HBONE_TUNNEL_RESET: { summary: "The peer reset the tunnel before it answered", retry: "no", flag: "CONNECT", httpStatus: 503 },
  HBONE_NOT_PROCESSED: {
    summary: "The peer twice took no new tunnel; it is shutting down or overloaded",
    retry: "later",
    flag: "CONNECT",
    httpStatus: 503,
  },
  HBONE_CREDENTIALS_EXPIRED: {
    summary: "Our own certificate has expired; no tunnel is opened or accepted with it",
    retry: "later",
    flag: "IDENTITY_ERROR",
    httpStatus: 503,
  },
  HBONE_POOL_CLOSED: { summary: "The pod's proxy is shutting down and opens no new tunnel", retry: "no", httpStatus: 503 },
  HBONE_REQUEST_INVALID: { summary: "A CONNECT request cannot be sent as given", retry: "no", httpStatus: 400 },
} satisfies Record<HboneErrorCode, ErrorSpec>;

export function hboneError(
  code: HboneErrorCode,
  message: string,
  options?: { cause?: unknown; details?: Readonly<Record<string, unknown>> },
): MeshError {
  return new MeshError(code, message, options);
}

/** Why no TCP connection came about; the message is the engine's, as access lines print it. */
export function connectFailed(cause: MeshError, remote: string): MeshError {
  return hboneError("HBONE_CONNECT_FAILED", cause.message, { cause, details: { ...cause.details, remote } });
}

/** Why a session or a stream failed, in this package's words. Ours pass through. */
export function translated(cause: MeshError): MeshError {
  if (cause.code.startsWith("HBONE_")) return cause;
  return hboneError(CODES[cause.code] ?? "HBONE_SESSION_LOST", cause.message, { cause, details: cause.details });
}

/** The peer has certainly not acted on the request: REFUSED_STREAM, or a GOAWAY that names an earlier stream as its last. */
export function isUnprocessed(error: MeshError): boolean {
  return hasCode(error, "ENGINE_HTTP2_REFUSED");
}

const CODES: Readonly<Record<string, HboneErrorCode>> = {
  ENGINE_TLS_PEER_UNVERIFIED: "HBONE_PEER_UNVERIFIED",
  ENGINE_TLS_FAILED: "HBONE_TLS_FAILED",
  ENGINE_TLS_TRUNCATED: "HBONE_SESSION_LOST",
  ENGINE_TUNNEL_RESET: "HBONE_TUNNEL_RESET",
  ENGINE_HTTP2_REFUSED: "HBONE_NOT_PROCESSED",
  ENGINE_HTTP2_HEADERS_INVALID: "HBONE_REQUEST_INVALID",
};
