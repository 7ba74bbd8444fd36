// HBONE: CONNECT over mutual TLS between proxies.
export { headerValue } from "@ambit/engine/internal";
export * from "./baggage.ts";
export * from "./connect-request.ts";
export * from "./contract.ts";
export * from "./errors.ts";
export { type OpenInnerOptions, openInner } from "./inner-tunnel.ts";
export { createHbonePool, type HbonePoolOptions } from "./pool.ts";
export { acceptHbone, acceptHboneOver } from "./server.ts";
export { type PeerVerdict, verifyClient, verifyServer } from "./verify-peer.ts";
