// What can go wrong before and around a process's work.
import type { ErrorSpec } from "@ambit/core";

export type RuntimeErrorCode = "RUNTIME_CONFIG_INVALID" | "RUNTIME_PORT_UNAVAILABLE";

export const runtimeErrors = {
  RUNTIME_CONFIG_INVALID: {
    summary: "The process's configuration is not valid; every violation is listed, no port was opened.",
    retry: "no",
  },
  RUNTIME_PORT_UNAVAILABLE: {
    summary: "A port of the process itself (admin, metrics, readiness) cannot be opened.",
    retry: "later",
  },
} as const satisfies Record<RuntimeErrorCode, ErrorSpec>;
