// Programs of the system (ip, iptables, ipset) run as subprocesses, in this or in another network namespace.
import { MeshError } from "@ambit/core";
import { execa } from "execa";
import type { Netns } from "./netns.ts";

export interface CommandOptions {
  /** Runs there instead of in the caller's network namespace; must stay open until the promise settles. */
  readonly netns?: Netns | undefined;
  readonly input?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. A failing exit code is a result; only a program that cannot be started throws. */
export type RunCommand = (program: string, args: readonly string[], options?: CommandOptions) => Promise<CommandResult>;

/** iptables and ip live in sbin, which is not on a normal user's PATH. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin";
const COMMAND_TIMEOUT_MS = 60_000;

/** @throws LINUX_COMMAND_UNAVAILABLE when the program is not installed or could not be started; LINUX_COMMAND_TIMEOUT after 60 s */
export const runCommand: RunCommand = async (program, args, options = {}) => {
  // The descriptor is named through this process's /proc entry: a child that inherited it would need it passed explicitly.
  const [file, argv] =
    options.netns === undefined
      ? [program, args]
      : ["nsenter", [`--net=/proc/${process.pid}/fd/${options.netns.token.fd}`, "--", program, ...args]];
  const result = await execa(file, argv, {
    reject: false,
    stripFinalNewline: false,
    timeout: COMMAND_TIMEOUT_MS,
    ...(options.input === undefined ? { stdin: "ignore" as const } : { input: options.input }),
    env: { ...options.env, LC_ALL: "C", PATH: `${process.env["PATH"] ?? "/usr/bin:/bin"}:${SYSTEM_PATH}` },
  });
  if (result.timedOut) {
    throw new MeshError("LINUX_COMMAND_TIMEOUT", `${program} did not end within ${COMMAND_TIMEOUT_MS} ms`, {
      details: { program, args },
    });
  }
  // nsenter answers 127 when it cannot find the program it should become, 126 when a directory on the way may not be read.
  const notFound = result.code === "ENOENT" || (options.netns !== undefined && [126, 127].includes(result.exitCode ?? 0));
  if (result.exitCode === undefined || notFound) {
    const why = notFound ? "it is not installed" : (result.originalMessage ?? "unknown reason");
    throw new MeshError("LINUX_COMMAND_UNAVAILABLE", `${program} could not be run: ${why}`, {
      cause: result.cause,
      details: { program },
    });
  }
  return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr };
};

/** Like a RunCommand, but a failing exit code throws too. @throws LINUX_COMMAND_FAILED with what the program printed */
export async function runChecked(
  run: RunCommand,
  program: string,
  args: readonly string[],
  options?: CommandOptions,
): Promise<string> {
  const result = await run(program, args, options);
  if (result.exitCode === 0) return result.stdout;
  const said = result.stderr.trim() || result.stdout.trim() || "no output";
  throw new MeshError("LINUX_COMMAND_FAILED", `${program} ${args.join(" ")} failed with exit code ${result.exitCode}: ${said}`, {
    details: { program, args, exitCode: result.exitCode },
  });
}
