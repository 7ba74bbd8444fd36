export * from "./errors.ts";
export { dumpMesh, type Json, type JsonObject, type MeshDump } from "./mesh-dump.ts";
export * from "./mesh-state.ts";
export * from "./mesh-update.ts";
export * from "./parse-mesh-dump.ts";
