export * from "./credential-sources.ts";
export { DeltaClient, type DeltaClientDeps, type DeltaClientOptions, type DiscoveryMetrics } from "./delta-client.ts";
export * from "./discovery-node.ts";
export * from "./errors.ts";
export { dumpMesh, type Json, type JsonObject, type MeshDump } from "./mesh-dump.ts";
export * from "./mesh-state.ts";
export * from "./mesh-update.ts";
export * from "./parse-mesh-dump.ts";
