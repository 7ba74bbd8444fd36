export * from "./netns.ts";
export * from "./address-set.ts";
export * from "./command.ts";
export * from "./rule-runner.ts";
export * from "./rule-text.ts";
