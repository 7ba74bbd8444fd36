// One call of the command: arguments in, exit code out. Tests call it like main does.
import { parseArgs } from "node:util";
import { cliError, exitCodeOf } from "./errors.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { generalHelp, verbHelp } from "./help.ts";
import type { OptionSpec, Verb, VerbArguments, VerbIo } from "./verb.ts";
import { verbs } from "./verbs.ts";

export async function run(argv: readonly string[], io: VerbIo): Promise<ExitCode> {
  try {
    return await dispatch(argv, io);
  } catch (error) {
    if (io.signal.aborted) return EXIT.interrupted;
    io.err(`ambit: ${error instanceof Error ? error.message : String(error)}\n`);
    if (io.env["AMBIT_DEBUG"] !== undefined && error instanceof Error) io.err(`${error.stack}\n`);
    return exitCodeOf(error);
  }
}

async function dispatch(argv: readonly string[], io: VerbIo): Promise<ExitCode> {
  const [name, ...rest] = argv;
  if (name === undefined || name === "--help" || name === "-h" || (name === "help" && rest.length === 0)) {
    io.out(generalHelp());
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  if (name === "help" && rest[0]?.startsWith("AMBIT-")) {
    const { explainFinding } = await import("./findings.ts");
    io.out(explainFinding(rest[0]));
    return EXIT.ok;
  }
  const verbName = name === "help" ? (rest[0] ?? "") : name === "--version" ? "version" : name;
  const entry = Object.hasOwn(verbs, verbName) ? verbs[verbName] : undefined;
  if (entry === undefined) throw cliError("CLI_USAGE", `${verbName} is not a verb; ambit help lists them`);
  const { verb } = await entry.load();
  if (name === "help" || rest.includes("--help") || rest.includes("-h")) {
    io.out(verbHelp(entry, verb));
    return EXIT.ok;
  }
  return verb.run(parseVerbArguments(verb, rest), io);
}

function parseVerbArguments(verb: Verb, argv: readonly string[]): VerbArguments {
  const dashes = argv.indexOf("--");
  const own = dashes < 0 ? argv : argv.slice(0, dashes);
  try {
    const { values, positionals } = parseArgs({
      args: [...own],
      options: Object.fromEntries(Object.entries(verb.options).map(([name, spec]) => [name, parseArgsOption(spec)])),
      allowPositionals: true,
      strict: true,
    });
    return { options: values, positionals, rest: dashes < 0 ? [] : argv.slice(dashes + 1) };
  } catch (error) {
    throw cliError("CLI_USAGE", error instanceof Error ? error.message : String(error), error);
  }
}

function parseArgsOption(spec: OptionSpec): { type: "string" | "boolean"; short?: string; multiple?: boolean } {
  return {
    type: spec.type,
    ...(spec.short === undefined ? {} : { short: spec.short }),
    ...(spec.multiple === undefined ? {} : { multiple: spec.multiple }),
  };
}
