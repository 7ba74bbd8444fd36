// Ports and what is spoken on them.
import type { AppProtocol } from "@ambit/core";
import { enumNames } from "./enum-names.ts";
import { invalidField } from "./errors.ts";

export const appProtocols = enumNames<AppProtocol>(["unknown", "http11", "http2", "grpc", "tcp", "tls"]);

/** @throws API_RESOURCE_INVALID above 65535: cutting it to 16 bits would name another port */
export function decodePort(path: string, port: number): number {
  if (port > 65535) throw invalidField(path, `${port} is not a port`);
  return port;
}
