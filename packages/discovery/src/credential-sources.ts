// Where the token and the trusted roots for the control plane come from; read anew for every stream, since both rotate.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { getCACertificates } from "node:tls";
import { MeshError } from "@ambit/core";

/** PEM blocks of the roots to trust. */
export type RootSource = () => Promise<string[]>;
/** Undefined: none is sent. */
export type TokenSource = () => Promise<string | undefined>;

/**
 * @param setting path of a PEM file, PEM text, or `SYSTEM` for the machine's own roots
 * The source throws DISCOVERY_CREDENTIALS_UNREADABLE; retry "later".
 */
export function rootSource(setting: string): RootSource {
  if (setting === "SYSTEM") return () => Promise.resolve([...getCACertificates("system")]);
  if (setting.includes("-----BEGIN")) return () => Promise.resolve([setting]);
  return async () => [await readText(setting, "root certificate")];
}

/** @param setting path of a file when there is one by that name, else the token itself; undefined or empty for none */
export function tokenSource(setting: string | undefined): TokenSource {
  if (setting === undefined || setting === "") return () => Promise.resolve(undefined);
  const isPath = setting.includes("/") || existsSync(setting);
  if (!isPath) return () => Promise.resolve(setting);
  return async () => (await readText(setting, "token")).trim();
}

async function readText(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const message = `Cannot read the ${what} for discovery at ${path}: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new MeshError("DISCOVERY_CREDENTIALS_UNREADABLE", message, { cause, details: { path } });
  }
}
