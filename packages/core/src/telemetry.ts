// What libraries may know of logging and metrics: interfaces only. Processes bring the implementation (runtime).

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger of a narrower scope, `parent:scope`. */
  scope(name: string): Logger;
}

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  scope: () => silentLogger,
};

export interface Counter<Labels extends string = string> {
  inc(labels: Readonly<Record<Labels, string>>, by?: number): void;
}

export interface Gauge<Labels extends string = string> {
  set(labels: Readonly<Record<Labels, string>>, value: number): void;
}

export interface Histogram<Labels extends string = string> {
  observe(labels: Readonly<Record<Labels, string>>, value: number): void;
}
