// Which header lists are well-formed messages. RFC 9113 section 8.
import type { HeaderList } from "./hpack-table.ts";

/** Fields of HTTP/1 connections; in HTTP/2 they are a way to smuggle. RFC 9113 section 8.2.2. */
const CONNECTION_FIELDS = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** RFC 9113 section 8.2.1; nghttp2 drops such fields without a word. */
const FORBIDDEN_IN_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;

/** Why the list is no request, or undefined. CONNECT has an authority and neither scheme nor path. */
export function requestFlaw(headers: HeaderList): string | undefined {
  let method: string | undefined;
  let authority: string | undefined;
  let scheme: string | undefined;
  let path: string | undefined;
  let i = 0;
  for (; i < headers.length; i++) {
    const [name, value] = headers[i] ?? ["", ""];
    if (!name.startsWith(":")) break;
    if (FORBIDDEN_IN_VALUE.test(value)) return `value of ${name}`;
    if (name === ":method" && method === undefined) method = value;
    else if (name === ":authority" && authority === undefined) authority = value;
    else if (name === ":scheme" && scheme === undefined) scheme = value;
    else if (name === ":path" && path === undefined) path = value;
    else return `unexpected ${name}`;
  }
  if (!method) return "no :method";
  if (method === "CONNECT") {
    if (!authority) return "CONNECT without :authority";
    if (scheme !== undefined || path !== undefined) return "CONNECT with :scheme or :path";
  } else if (!scheme || !path) return "no :scheme or no :path";
  return fieldFlaw(headers, i);
}

/** Why the list is no response, or undefined. */
export function responseFlaw(headers: HeaderList): string | undefined {
  const [name, value] = headers[0] ?? ["", ""];
  if (name !== ":status" || !/^[1-9]\d\d$/.test(value)) return "no valid :status";
  return fieldFlaw(headers, 1);
}

/** Why the list is no trailer section, or undefined. */
export function trailerFlaw(headers: HeaderList): string | undefined {
  return fieldFlaw(headers, 0);
}

export function headerValue(headers: HeaderList, name: string): string | undefined {
  for (const header of headers) if (header[0] === name) return header[1];
  return undefined;
}

function fieldFlaw(headers: HeaderList, from: number): string | undefined {
  for (let i = from; i < headers.length; i++) {
    const [name, value] = headers[i] ?? ["", ""];
    if (!NAME.test(name)) return `field name ${JSON.stringify(name)}`;
    if (CONNECTION_FIELDS.has(name) || (name === "te" && value !== "trailers")) return `connection field ${name}`;
    if (FORBIDDEN_IN_VALUE.test(value)) return `value of ${name}`;
  }
  return undefined;
}
