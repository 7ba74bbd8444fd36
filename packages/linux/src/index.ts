export * from "./address-set.ts";
export * from "./command.ts";
export * from "./errors.ts";
export * from "./fd-channel.ts";
export * from "./netns.ts";
export * from "./packet-capture.ts";
export * from "./rule-runner.ts";
export * from "./rule-text.ts";
