// What can go wrong on a connection, and what that means to whoever made it.
import { type ErrorSpec, MeshError } from "@ambit/core";
import { errnoName, errnoText } from "@ambit/linux/syscalls";

export type EngineErrorCode =
  | "ENGINE_LISTEN_FAILED"
  | "ENGINE_CONNECT_REFUSED"
  | "ENGINE_CONNECT_TIMED_OUT"
  | "ENGINE_CONNECT_UNREACHABLE"
  | "ENGINE_CONNECT_FAILED"
  | "ENGINE_CONNECT_CANCELLED"
  | "ENGINE_RESET"
  | "ENGINE_TUNNEL_RESET"
  | "ENGINE_CREDENTIALS_INVALID"
  | "ENGINE_TLS_FAILED"
  | "ENGINE_TLS_PEER_UNVERIFIED"
  | "ENGINE_TLS_TRUNCATED"
  | "ENGINE_TLS_BACKLOG"
  | "ENGINE_SYMBOLS_MISSING"
  | "ENGINE_WORKER_DIED";

export const engineErrors = {
  ENGINE_LISTEN_FAILED: { summary: "A port could not be opened", retry: "later" },
  ENGINE_CONNECT_REFUSED: { summary: "Nobody listens at the destination", retry: "later", flag: "CONNECT", httpStatus: 503 },
  ENGINE_CONNECT_TIMED_OUT: {
    summary: "The destination did not answer in time",
    retry: "later",
    flag: "CONNECT",
    httpStatus: 503,
  },
  ENGINE_CONNECT_UNREACHABLE: { summary: "There is no way to the destination", retry: "later", flag: "CONNECT", httpStatus: 503 },
  ENGINE_CONNECT_FAILED: { summary: "A connection could not be opened", retry: "later", flag: "CONNECT", httpStatus: 503 },
  ENGINE_CONNECT_CANCELLED: { summary: "The connection attempt was given up by its owner", retry: "no" },
  ENGINE_RESET: { summary: "The peer cut a TCP connection", retry: "no" },
  ENGINE_TUNNEL_RESET: { summary: "The peer cut a tunnel", retry: "no" },
  ENGINE_CREDENTIALS_INVALID: { summary: "A certificate, key or root could not be used", retry: "no", flag: "IDENTITY_ERROR" },
  ENGINE_TLS_FAILED: { summary: "The TLS handshake or a record failed", retry: "later", flag: "TLS_FAILURE" },
  ENGINE_TLS_PEER_UNVERIFIED: { summary: "The peer's certificate is missing or not trusted", retry: "no", flag: "TLS_FAILURE" },
  ENGINE_TLS_TRUNCATED: {
    summary: "The peer's connection ended without the end of the TLS stream",
    retry: "no",
    flag: "TLS_FAILURE",
  },
  ENGINE_TLS_BACKLOG: { summary: "The peer does not read what it makes us send", retry: "no" },
  ENGINE_SYMBOLS_MISSING: { summary: "This Node build lacks C functions that the engine needs", retry: "no" },
  ENGINE_WORKER_DIED: { summary: "A data-plane thread ended by an error and was replaced", retry: "no" },
} satisfies Record<EngineErrorCode, ErrorSpec>;

export function engineError(
  code: EngineErrorCode,
  message: string,
  options?: { cause?: unknown; details?: Readonly<Record<string, unknown>> },
): MeshError {
  return new MeshError(code, message, options);
}

/** Why a connection could not be opened. The message is what the access line prints: `Connection refused (os error 111)`. */
export function connectError(errno: number): MeshError {
  const name = errnoName(errno);
  return engineError(CONNECT_CODES[name] ?? "ENGINE_CONNECT_FAILED", errnoText(errno), { details: { errno: name } });
}

/** Why an open connection broke. */
export function streamError(errno: number): MeshError {
  return engineError("ENGINE_RESET", errnoText(errno), { details: { errno: errnoName(errno) } });
}

const CONNECT_CODES: Readonly<Record<string, EngineErrorCode>> = {
  ECONNREFUSED: "ENGINE_CONNECT_REFUSED",
  ETIMEDOUT: "ENGINE_CONNECT_TIMED_OUT",
  EHOSTUNREACH: "ENGINE_CONNECT_UNREACHABLE",
  ENETUNREACH: "ENGINE_CONNECT_UNREACHABLE",
  EHOSTDOWN: "ENGINE_CONNECT_UNREACHABLE",
  ENETDOWN: "ENGINE_CONNECT_UNREACHABLE",
};
