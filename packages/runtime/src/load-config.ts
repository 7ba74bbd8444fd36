// Environment and optional file → schema → a frozen object. The only place that reads configuration.
import { readFileSync } from "node:fs";
import { MeshError } from "@ambit/core";
import { z } from "zod";
import { parseLogFilter } from "./logger.ts";

/** What one key of a process's configuration is, besides its type. */
export interface ConfigKey {
  /** Environment variables that set it; the first that is present wins. */
  readonly env: readonly string[];
  /** One sentence, with the unit. */
  readonly description: string;
  /** Masked when the configuration is printed. */
  readonly secret?: boolean;
}

/** Keys, their meaning and their types: one table per process, in its `config.ts`. */
export type ConfigSpec = Readonly<Record<string, ConfigKey & { readonly schema: z.ZodType }>>;
export type ConfigOf<Spec extends ConfigSpec> = { readonly [Key in keyof Spec]: z.output<Spec[Key]["schema"]> };

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @param file JSON object with keys of the spec; the environment wins over it
 * @throws RUNTIME_CONFIG_INVALID listing every violation with its key or variable
 */
export function loadConfig<Spec extends ConfigSpec>(spec: Spec, env: Environment, file?: string): ConfigOf<Spec> {
  const violations: string[] = [];
  const fromFile = file === undefined ? {} : readConfigFile(file, violations);
  for (const key of Object.keys(fromFile)) {
    if (!Object.hasOwn(spec, key))
      violations.push(`${file}: ${key} is not a configuration key; known are ${Object.keys(spec).join(", ")}`);
  }
  const config: Record<string, unknown> = {};
  for (const [key, { env: names, schema }] of Object.entries(spec)) {
    const name = names.find((candidate) => env[candidate] !== undefined && env[candidate] !== "");
    const parsed = schema.safeParse(name === undefined ? fromFile[key] : env[name]);
    if (parsed.success) config[key] = parsed.data;
    else
      for (const issue of parsed.error.issues)
        violations.push(`${[name ?? names[0] ?? key, ...issue.path].join(".")}: ${issue.message}`);
  }
  if (violations.length > 0) {
    throw new MeshError("RUNTIME_CONFIG_INVALID", `The configuration is not valid:\n  ${violations.join("\n  ")}`, {
      details: { violations },
    });
  }
  return deepFreeze(config) as ConfigOf<Spec>;
}

function readConfigFile(file: string, violations: string[]): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    violations.push(`${file}: must hold a JSON object`);
  } catch (error) {
    violations.push(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return {};
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}

/** The configuration for a log line: secrets masked. */
export function printableConfig<Spec extends ConfigSpec>(spec: Spec, config: ConfigOf<Spec>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [key, spec[key]?.secret === true ? "***" : value]));
}

/** Rows for docs/config.md. */
export function describeConfig(
  spec: ConfigSpec,
): readonly { key: string; env: readonly string[]; description: string; default: string }[] {
  return Object.entries(spec).map(([key, { env, description, schema }]) => {
    const parsed = schema.safeParse(undefined);
    const value = parsed.success ? parsed.data : undefined;
    return { key, env, description, default: parsed.success ? (value === undefined ? "" : JSON.stringify(value)) : "required" };
  });
}

/** Schemas for values that arrive as text. */
export const configTypes = {
  text: () => z.string().min(1),
  boolean: (fallback: boolean) =>
    z.preprocess(
      (value) => (typeof value === "string" ? (PARSE_BOOL[value] ?? value) : value),
      z.boolean({ error: "must be true or false" }).default(fallback),
    ),
  integer: (minimum: number, maximum: number) =>
    z.preprocess(
      (value) => (typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value),
      z.int().min(minimum).max(maximum),
    ),
  /** `500ms`, `10s`, `5m`, `24h`, or plain seconds; the value is milliseconds. */
  durationMs: () =>
    z.preprocess(
      (value) => (typeof value === "string" ? (parseDurationMs(value) ?? value) : value),
      z.number({ error: "must be a duration like 500ms, 10s, 5m or 24h" }).nonnegative(),
    ),
  /** A level, and exceptions by scope; `info` by default. @param example of an exception, for whoever has it wrong */
  logFilter: (example: string) =>
    z
      .string()
      .min(1)
      .default("info")
      .transform((text, context) => {
        const filter = parseLogFilter(text);
        if (filter !== undefined) return filter;
        context.addIssue({ code: "custom", message: `must be a level, or levels by scope such as info,${example}` });
        return z.NEVER;
      }),
  list: () =>
    z.preprocess(
      (value) =>
        typeof value === "string"
          ? value
              .split(",")
              .map((item) => item.trim())
              .filter((item) => item !== "")
          : value,
      z.array(z.string()),
    ),
};

/** The spellings of Go's strconv.ParseBool, which is what users of this field write. */
const PARSE_BOOL: Readonly<Record<string, boolean>> = {
  "1": true,
  t: true,
  T: true,
  true: true,
  TRUE: true,
  True: true,
  "0": false,
  f: false,
  F: false,
  false: false,
  FALSE: false,
  False: false,
};

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Several units may follow each other as Go writes them, `1h30m`. Undefined when the text is no duration. */
export function parseDurationMs(text: string): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1_000;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined;
  let totalMs = 0;
  for (const [, amount = "", unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
    totalMs += Number(amount) * (UNIT_MS[unit] ?? 0);
  return totalMs;
}
