export * from "./mesh-view.ts";
