// What the protocol layers on top of the engine (HTTP/2, HBONE) may use beyond the boundary contract: slabs, TLS, relay sides.
export { engineError } from "./errors.ts";
export * from "./http2/index.ts";
export { engineOf } from "./reactor-of.ts";
export * from "./relay-side.ts";
export * from "./secure-channel.ts";
export * from "./slab.ts";
export { openSecureChannel } from "./tls.ts";
