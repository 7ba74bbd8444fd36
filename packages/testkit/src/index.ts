// Fakes, builders and labs; imported by tests only.
export * from "./builders.ts";
export * from "./eventually.ts";
