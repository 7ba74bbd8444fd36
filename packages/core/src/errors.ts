// The one error class of the repository, and the shape of the tables that give its codes a meaning.

/** What a caller should do about a failure: try again now, not at all, or after something else has changed. */
export type Retry = "yes" | "no" | "later";

/** One row of a process's error table. `flag` is the `response_flags` value of metrics and access lines. */
export interface ErrorSpec {
  readonly summary: string;
  readonly retry: Retry;
  readonly flag?: ResponseFlag;
  /** Status of the HBONE CONNECT answer that reports this failure to the peer. */
  readonly httpStatus?: number;
}

/** Values of the `response_flags` label at layer 4. @source ztunnel src/proxy/metrics.rs ResponseFlags */
export type ResponseFlag =
  | "-"
  | "DENY"
  | "CONNECT"
  | "TLS_FAILURE"
  | "H2_HANDSHAKE_FAILURE"
  | "NETWORK_POLICY"
  | "IDENTITY_ERROR"
  | "CERT_REVOKED";

/**
 * A failure. `code` is `PACKAGE_WHAT_HAPPENED` and is what callers compare; `message` is for people:
 * sentence case, the values, and a next step where one is likely.
 */
export class MeshError extends Error {
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, options: { cause?: unknown; details?: Readonly<Record<string, unknown>> } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "MeshError";
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** True when `error` is a MeshError of that code, also when two copies of this module are loaded. */
export function hasCode(error: unknown, code: string): error is MeshError {
  return typeof error === "object" && error !== null && "code" in error && error.code === code;
}

/** Anything thrown, as a MeshError; foreign errors keep their message and become the cause. */
export function asMeshError(error: unknown, code: string): MeshError {
  if (error instanceof MeshError) return error;
  return new MeshError(code, error instanceof Error ? error.message : String(error), { cause: error });
}

/** For the default branch of an exhaustive switch. */
export function assertNever(value: never): never {
  throw new MeshError("CORE_UNREACHABLE", `Unexpected value ${JSON.stringify(value)}`);
}
