// What a CONNECT request says besides its method: the wanted destination, who asks on whose behalf, and the trace id.
import { randomFillSync } from "node:crypto";
import { formatSocketAddress, parseSocketAddress, type SocketAddress } from "@ambit/core";
import type { HeaderList } from "./contract.ts";

/** `:authority`: `ip:port`, `[v6]:port`, or `hostname:port` (which only double HBONE sends). */
export type Authority =
  | { readonly kind: "address"; readonly address: SocketAddress }
  | { readonly kind: "hostname"; readonly hostname: string; readonly port: number };

export interface ConnectHeaders {
  /** The application's own address, for `forwarded`. */
  readonly source: SocketAddress;
  /** Destination service, when it is known. */
  readonly serviceHostname?: string | undefined;
  /** As `formatBaggage` gives it; an empty text is left out. */
  readonly baggage?: string | undefined;
  readonly traceparent: string;
  /** Own network; on the inner request of double HBONE only. */
  readonly network?: string | undefined;
}

const HOSTNAME =
  /^(?=.{1,253}$)(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i;

/** undefined when the text is neither form, or the port is missing, 0 or out of range. */
export function parseAuthority(text: string): Authority | undefined {
  const address = parseSocketAddress(text);
  if (address !== undefined) return address.port === 0 ? undefined : { kind: "address", address };
  const match = /^([^:[\]]+):(\d{1,5})$/.exec(text);
  const hostname = match?.[1] ?? "";
  const port = Number(match?.[2]);
  if (!HOSTNAME.test(hostname) || !(port >= 1 && port <= 65535)) return undefined;
  // What looks like an address but is none must not be looked up as a name.
  if (/^[\d.]+$/.test(hostname)) return undefined;
  return { kind: "hostname", hostname: hostname.toLowerCase(), port };
}

export function formatAuthority(authority: Authority): string {
  return authority.kind === "address" ? formatSocketAddress(authority.address) : `${authority.hostname}:${authority.port}`;
}

/**
 * The headers of a request, in the order in which the Rust ztunnel writes them.
 * @source ztunnel src/proxy/outbound.rs create_hbone_request
 */
export function connectHeaders(facts: ConnectHeaders): HeaderList {
  const headers: [string, string][] = [];
  if (facts.baggage) headers.push(["baggage", facts.baggage]);
  headers.push(["forwarded", formatForwarded(facts.source, facts.serviceHostname)]);
  headers.push(["traceparent", facts.traceparent]);
  if (facts.network) headers.push(["x-forwarded-network", facts.network]);
  return headers;
}

/** `for="ip:port"` and, when known, `;host=<hostname>` without quotes. */
export function formatForwarded(source: SocketAddress, serviceHostname: string | undefined): string {
  const host = serviceHostname === undefined ? "" : `;host=${serviceHostname}`;
  return `for="${formatSocketAddress(source)}"${host}`;
}

/**
 * The `host` of a Forwarded header: the service that the client dialled. `for` is never read: anybody may write it.
 * @source ztunnel src/proxy/inbound.rs; RFC 7239 section 4
 */
export function parseForwardedHost(value: string): string | undefined {
  // Only the last element is by the proxy next to us.
  const element = splitUnquoted(value, ",").at(-1) ?? "";
  for (const pair of splitUnquoted(element, ";")) {
    const [name, text] = /^\s*([A-Za-z]+)=(.*?)\s*$/.exec(pair)?.slice(1) ?? [];
    if (name?.toLowerCase() !== "host" || text === undefined) continue;
    return text.replace(/^"(.*)"$/, "$1") || undefined;
  }
  return undefined;
}

const entropy = Buffer.alloc(24 * 128);
let entropyUsed = entropy.length;

/** A new trace of a new connection; nothing is propagated from the application, and it is not sampled. @source ztunnel src/proxy.rs TraceParent */
export function newTraceparent(): string {
  if (entropyUsed === entropy.length) {
    randomFillSync(entropy);
    entropyUsed = 0;
  }
  const at = entropyUsed;
  entropyUsed += 24;
  return `00-${entropy.toString("hex", at, at + 16)}-${entropy.toString("hex", at + 16, at + 24)}-00`;
}

export interface Traceparent {
  readonly traceId: string;
  readonly spanId: string;
}

/** undefined when it is not of version 00 or its ids are all zero. W3C Trace Context section 3.2. */
export function parseTraceparent(text: string): Traceparent | undefined {
  const match = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/.exec(text);
  const traceId = match?.[1] ?? "";
  const spanId = match?.[2] ?? "";
  return /[1-9a-f]/.test(traceId) && /[1-9a-f]/.test(spanId) ? { traceId, spanId } : undefined;
}

function splitUnquoted(text: string, separator: string): string[] {
  const parts: string[] = [];
  let from = 0;
  let isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '"') isQuoted = !isQuoted;
    else if (text[i] === separator && !isQuoted) {
      parts.push(text.slice(from, i));
      from = i + 1;
    }
  }
  parts.push(text.slice(from));
  return parts;
}
