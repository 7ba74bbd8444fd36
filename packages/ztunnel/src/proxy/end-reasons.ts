// Errors in the words of access lines and in the flags of metrics.
import type { ErrorSpec, MeshError, ResponseFlag } from "@ambit/core";
import { decideErrors } from "@ambit/decide";
import { engineErrors, type RelayEnd } from "@ambit/engine";
import { hboneErrors } from "@ambit/hbone";
import { ztunnelErrors } from "../errors.ts";

const SPECS: Readonly<Record<string, ErrorSpec>> = { ...decideErrors, ...engineErrors, ...hboneErrors, ...ztunnelErrors };

export function flagOf(error: MeshError): ResponseFlag {
  return SPECS[error.code]?.flag ?? "-";
}

/** A reset by an application's own TCP is an ordinary end for the record. @source ztunnel src/copy.rs ignore_io_errors */
export function describeRelayEnd(end: RelayEnd): { readonly flag: ResponseFlag; readonly error: string | undefined } {
  if (end.kind === "finished" || end.error.code === "ENGINE_RESET") return { flag: "-", error: undefined };
  return { flag: end.side === "abort" ? flagOf(end.error) : "-", error: end.error.message };
}

const STATUS_TEXTS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  408: "Request Timeout",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** `http status: 401 Unauthorized`. */
export function describeStatus(status: number): string {
  return `http status: ${status} ${STATUS_TEXTS[status] ?? ""}`.trimEnd();
}

/** A tunnel that did not come about. @source ztunnel src/proxy/mod.rs Error */
export function describeTunnelFailure(error: MeshError): { readonly flag: ResponseFlag; readonly error: string } {
  const isTimeout = error.code === "HBONE_CONNECT_FAILED" && error.details["errno"] === "ETIMEDOUT";
  if (isTimeout) {
    const text = `connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: ${error.message}`;
    return { flag: "NETWORK_POLICY", error: text };
  }
  const prefix = error.code === "HBONE_CONNECT_FAILED" ? "connection failed: " : "";
  return { flag: flagOf(error), error: `${prefix}${error.message}` };
}
