// The lab for programs that start one or talk to one.
export * from "./api/client.ts";
export * from "./api/contract.ts";
export * from "./errors.ts";
export { DEFAULT_NODES, Lab, type LabOptions } from "./host/lab.ts";
export type { ForwardTarget } from "./host/port-forward.ts";
export { defaultLabDirectory, type LabPaths, labPaths, REPOSITORY } from "./paths.ts";
