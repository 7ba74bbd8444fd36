// Log lines on standard output: the field's text columns, or JSON. Levels per scope, changeable while running.
import { writeSync } from "node:fs";
import type { LogFields, Logger, LogLevel } from "@ambit/core";

export type LogFormat = "text" | "json";

const RANK: Readonly<Record<LogLevel, number>> = { debug: 10, info: 20, warn: 30, error: 40 };
const OFF = 100;
/** Lines are collected for at most this long, and at most this many bytes, before one write takes them. */
const FLUSH_DELAY_MS = 20;
const FLUSH_BYTES = 64 * 1024;

/** `info`, or `info,access=debug,xds=off`: a default and exceptions by scope. Undefined when a part is not understood. */
export function parseLogFilter(text: string): LogFilter | undefined {
  const byScope = new Map<string, number>();
  let fallback = RANK.info;
  for (const part of text.split(",")) {
    const [left = "", right] = part.trim().split("=");
    const rank = rankOf(right ?? left);
    if (rank === undefined) return undefined;
    if (right === undefined) fallback = rank;
    else byScope.set(left, rank);
  }
  return { text, fallback, byScope };
}

export interface LogFilter {
  readonly text: string;
  readonly fallback: number;
  readonly byScope: ReadonlyMap<string, number>;
}

function rankOf(level: string): number | undefined {
  if (level === "off") return OFF;
  if (level === "trace") return RANK.debug;
  return Object.hasOwn(RANK, level) ? RANK[level as LogLevel] : undefined;
}

/** Where lines go; a synchronous sink, so that nothing is lost at exit and a slow reader slows us instead of filling memory. */
export type LogSink = (text: string) => void;

export class LogOutput {
  readonly #format: LogFormat;
  readonly #sink: LogSink;
  #filter: LogFilter;
  #pending: string[] = [];
  #pendingBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(format: LogFormat, filter: LogFilter, sink: LogSink = writeStandardOutput) {
    this.#format = format;
    this.#filter = filter;
    this.#sink = sink;
  }

  get filter(): LogFilter {
    return this.#filter;
  }

  setFilter(filter: LogFilter): void {
    this.#filter = filter;
  }

  enabled(level: LogLevel, scope: string): boolean {
    return RANK[level] >= (this.#filter.byScope.get(scope) ?? this.#filter.fallback);
  }

  logger(scope: string): Logger {
    const emit = (level: LogLevel) => (message: string, fields?: LogFields) => this.emit(level, scope, message, fields);
    return {
      debug: emit("debug"),
      info: emit("info"),
      warn: emit("warn"),
      error: emit("error"),
      scope: (name) => this.logger(`${scope}:${name}`),
    };
  }

  emit(level: LogLevel, scope: string, message: string, fields: LogFields = {}): void {
    if (!this.enabled(level, scope)) return;
    const line = this.#format === "json" ? jsonLine(level, scope, message, fields) : textLine(level, scope, message, fields);
    this.#pending.push(line);
    this.#pendingBytes += line.length;
    if (this.#pendingBytes >= FLUSH_BYTES) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_DELAY_MS).unref();
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.length === 0) return;
    const text = this.#pending.join("");
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#sink(text);
  }
}

/** `time<TAB>level<TAB>scope<TAB>message<TAB>key=value…`. @source ztunnel src/telemetry.rs IstioFormat */
export function textLine(level: LogLevel, scope: string, message: string, fields: LogFields): string {
  const parts = [new Date().toISOString().replace(/Z$/, "000Z"), level, scope, message].join("\t");
  const pairs = Object.entries(fields).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${textValue(value)}`]));
  return pairs.length === 0 ? `${parts}\n` : `${parts}\t${pairs.join(" ")}\n`;
}

/** A value that must appear without quotes in the text format: addresses. */
export class BareText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toJSON(): string {
    return this.text;
  }
}

function textValue(value: unknown): string {
  if (value instanceof BareText) return value.text;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (value instanceof Error) return JSON.stringify(value.message);
  return JSON.stringify(value);
}

function jsonLine(level: LogLevel, scope: string, message: string, fields: LogFields): string {
  const values = Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? value.message : value]),
  );
  return `${JSON.stringify({ time: new Date().toISOString(), level, scope, message, ...values })}\n`;
}

const STANDARD_OUTPUT = 1;

function writeStandardOutput(text: string): void {
  const bytes = Buffer.from(text, "utf8");
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(STANDARD_OUTPUT, bytes, written);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      // A pipe whose reader is slow, or gone.
      if (code === "EPIPE") return;
      if (code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
