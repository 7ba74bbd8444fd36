// What verbs print: data on standard output as table, JSON, YAML or names; everything for people's eyes only on standard error.
import { cliError } from "./errors.ts";

export type OutputFormat = "table" | "wide" | "json" | "yaml" | "ndjson" | "name";
const FORMATS: readonly OutputFormat[] = ["table", "wide", "json", "yaml", "ndjson", "name"];

export function parseOutputFormat(text: string | undefined): OutputFormat {
  if (text === undefined) return "table";
  const format = FORMATS.find((candidate) => candidate === text);
  if (format === undefined) throw cliError("CLI_USAGE", `-o ${text} is not an output format; use one of ${FORMATS.join(", ")}`);
  return format;
}

/** One kind of answer: its JSON form and how a row of it looks in a table. */
export interface Listing<Item> {
  readonly kind: string;
  readonly items: readonly Item[];
  readonly columns: readonly Column<Item>[];
  /** What `-o name` prints, `kind/namespace/name`. */
  nameOf(item: Item): string;
}

export interface Column<Item> {
  readonly title: string;
  /** Shown only with -o wide. */
  readonly wide?: boolean;
  value(item: Item): string;
}

export const API_VERSION = "cli.ambit.dev/v1";

/** The listing as text, ending with a newline unless empty. */
export async function renderListing<Item>(listing: Listing<Item>, format: OutputFormat): Promise<string> {
  switch (format) {
    case "json":
      return `${JSON.stringify({ apiVersion: API_VERSION, kind: listing.kind, items: listing.items }, null, 2)}\n`;
    case "yaml":
      return toYaml({ apiVersion: API_VERSION, kind: listing.kind, items: listing.items });
    case "ndjson":
      return listing.items.map((item) => `${JSON.stringify(item)}\n`).join("");
    case "name":
      return listing.items.map((item) => `${listing.nameOf(item)}\n`).join("");
    case "table":
    case "wide": {
      const columns = listing.columns.filter((column) => format === "wide" || column.wide !== true);
      return renderTable([
        columns.map((column) => column.title),
        ...listing.items.map((item) => columns.map((c) => c.value(item))),
      ]);
    }
  }
}

/** Anything that is not a list, in the format asked for; `text` is the form for people. */
export async function renderObject(kind: string, value: object, text: string, format: OutputFormat): Promise<string> {
  if (format === "json") return `${JSON.stringify({ apiVersion: API_VERSION, kind, ...value }, null, 2)}\n`;
  if (format === "ndjson") return `${JSON.stringify({ apiVersion: API_VERSION, kind, ...value })}\n`;
  if (format === "yaml") return toYaml({ apiVersion: API_VERSION, kind, ...value });
  return text.endsWith("\n") ? text : `${text}\n`;
}

/** Rows as left-aligned columns two spaces apart; no trailing blanks. */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

async function toYaml(value: unknown): Promise<string> {
  const { stringify } = await import("yaml");
  return stringify(value);
}
