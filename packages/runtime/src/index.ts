// What any of our processes needs.
export * from "./errors.ts";
export * from "./http-servers.ts";
export * from "./load-config.ts";
export * from "./logger.ts";
export * from "./metrics.ts";
export * from "./readiness.ts";
export * from "./run-main.ts";
