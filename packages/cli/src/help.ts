// Help texts, made from the table of verbs and their options.
import { renderTable } from "./output.ts";
import type { Verb } from "./verb.ts";
import { type VerbEntry, verbs } from "./verbs.ts";

export function generalHelp(): string {
  const rows = Object.entries(verbs).map(([name, entry]) => [`  ${name}`, entry.summary]);
  return `Usage: ambit VERB [TYPE/NAME] [flags]\n\n${renderTable(rows)}\nambit VERB --help shows a verb's flags; ambit help AMBIT-nnnn explains a finding.\n`;
}

export function verbHelp(entry: VerbEntry, verb: Verb): string {
  const rows = Object.entries(verb.options).map(([name, spec]) => [
    `  ${spec.short === undefined ? "    " : `-${spec.short}, `}--${name}${spec.type === "string" ? ` ${spec.placeholder ?? "VALUE"}` : ""}`,
    spec.help,
  ]);
  return `${entry.summary}\n\nUsage: ambit ${entry.usage}\n${rows.length === 0 ? "" : `\n${renderTable(rows)}`}`;
}
