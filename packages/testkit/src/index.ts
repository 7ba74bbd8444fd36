// Fakes, builders and labs; imported by tests only.
export * from "./authorization-builder.ts";
export * from "./builders.ts";
export * from "./certificates.ts";
export * from "./eventually.ts";
export * from "./fake-control-plane.ts";
export * from "./mesh-view.ts";
export * from "./random.ts";
