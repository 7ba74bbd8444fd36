// The data-plane engine: connections, listeners, timers and TLS credentials on one loop per worker thread.
export * from "./contract.ts";
export { driveEngine, type EngineDriver } from "./drive-engine.ts";
export { createEngine, type EngineLoop } from "./engine.ts";
export * from "./errors.ts";
export { type HandshakeSecretSink, onHandshakeSecret } from "./handshake-secrets.ts";
export { relay } from "./relay.ts";
export { runWorker } from "./run-worker.ts";
export { type SelfTest, selfTest } from "./self-test.ts";
export { startWorkerPool } from "./worker-pool.ts";
