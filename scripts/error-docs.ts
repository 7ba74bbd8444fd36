// docs/errors.md from the error tables of all packages.
import { globSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { ErrorSpec } from "../packages/core/src/errors.ts";

/** The document's text: one section per package, one row per code. */
export async function errorDocs(root: string): Promise<string> {
  const lines = [
    "# Error codes",
    "",
    "Generated from the tables in each package's `errors.ts` by `npm run docs`; a test compares. *Retry* says what a caller should do: now, not at all, or after something else has changed.",
  ];
  for (const file of globSync("packages/*/src/{,agent/,plugin/}errors.ts", { cwd: root }).sort()) {
    const module = (await import(pathToFileURL(`${root}/${file}`).href)) as Readonly<Record<string, unknown>>;
    const rows = Object.values(module).flatMap((value) => (isTable(value) ? Object.entries(value) : []));
    if (rows.length === 0) continue;
    lines.push("", `## ${file.split("/")[1]}`, "", "| Code | Meaning | Retry | Flag | HBONE status |", "|---|---|---|---|---|");
    for (const [code, spec] of rows.sort(([a], [b]) => (a < b ? -1 : 1))) {
      lines.push(`| \`${code}\` | ${spec.summary} | ${spec.retry} | ${spec.flag ?? ""} | ${spec.httpStatus ?? ""} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}

function isTable(value: unknown): value is Readonly<Record<string, ErrorSpec>> {
  if (typeof value !== "object" || value === null) return false;
  const rows = Object.values(value);
  return rows.length > 0 && rows.every((row) => typeof row === "object" && row !== null && "summary" in row && "retry" in row);
}
