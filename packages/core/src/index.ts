// The field's words and small tools; imports nothing, performs no I/O.
export * from "./addresses.ts";
export * from "./authorization.ts";
export * from "./backoff.ts";
export * from "./clock.ts";
export * from "./drain.ts";
export * from "./errors.ts";
export * from "./identity.ts";
export * from "./names.ts";
export * from "./ports.ts";
export * from "./service.ts";
export * from "./telemetry.ts";
export * from "./workload.ts";
