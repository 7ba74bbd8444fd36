// Failures that a verb reports to the person at the terminal.
import { type ErrorSpec, MeshError } from "@ambit/core";
import { EXIT, type ExitCode } from "./exit-codes.ts";

export type CliErrorCode = "CLI_USAGE" | "CLI_NO_LAB" | "CLI_API_FAILED" | "CLI_NOT_FOUND" | "CLI_TIMED_OUT";

export const cliErrors = {
  CLI_USAGE: { summary: "The command line is not one that the verb understands.", retry: "no" },
  CLI_NO_LAB: { summary: "No running lab was found.", retry: "later" },
  CLI_API_FAILED: { summary: "The control plane or a proxy answered with an error.", retry: "later" },
  CLI_NOT_FOUND: { summary: "The named object is not in the mesh.", retry: "no" },
  CLI_TIMED_OUT: { summary: "What was waited for did not happen in time.", retry: "later" },
} as const satisfies Record<CliErrorCode, ErrorSpec>;

const EXIT_OF: Readonly<Record<CliErrorCode, ExitCode>> = {
  CLI_USAGE: EXIT.usage,
  CLI_NO_LAB: EXIT.failed,
  CLI_API_FAILED: EXIT.failed,
  CLI_NOT_FOUND: EXIT.failed,
  CLI_TIMED_OUT: EXIT.timedOut,
};

export function cliError(code: CliErrorCode, message: string, cause?: unknown): MeshError {
  return new MeshError(code, message, { cause });
}

/** The exit code of a failure; anything that is not ours is a plain failure. */
export function exitCodeOf(error: unknown): ExitCode {
  const code = error instanceof MeshError ? error.code : "";
  return code in EXIT_OF ? EXIT_OF[code as CliErrorCode] : EXIT.failed;
}
