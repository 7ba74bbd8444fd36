// What captured packets show by themselves: connections, TLS handshakes and who proved which identity in them. No I/O.
export type { CapturedFrame } from "./frames.ts";
export { type HandshakeSecrets, parseKeyLog, type SecretsByRandom } from "./key-log.ts";
