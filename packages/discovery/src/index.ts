export * from "./mesh-state.ts";
export * from "./mesh-update.ts";
