// What a verb is, and what it is given.
import type { ExitCode } from "./exit-codes.ts";

/** One option as `node:util` parseArgs takes it, with a line for the help text. */
export interface OptionSpec {
  readonly type: "string" | "boolean";
  readonly short?: string;
  readonly multiple?: boolean;
  readonly help: string;
  /** Shown in the help text after the option's name. */
  readonly placeholder?: string;
}

export interface VerbArguments {
  readonly positionals: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;
  /** What follows `--`. */
  readonly rest: readonly string[];
}

export interface VerbIo {
  out(text: string): void;
  err(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

export interface Verb {
  readonly options: Readonly<Record<string, OptionSpec>>;
  run(args: VerbArguments, io: VerbIo): Promise<ExitCode>;
}

/** A string option's value; undefined when absent. */
export function stringOption(args: VerbArguments, name: string): string | undefined {
  const value = args.options[name];
  return typeof value === "string" ? value : undefined;
}
