// What captured packets show by themselves: connections, TLS handshakes and who proved which identity in them. No I/O.
export { type Evidence, type EvidenceOptions, gatherEvidence } from "./evidence.ts";
export type { CapturedFrame } from "./frames.ts";
export { type HandshakeSecrets, parseKeyLog, type SecretsByRandom } from "./key-log.ts";
export type { ConnectionEvidence, ConnectionKind } from "./wire-connection.ts";
