// Whether this Node build has every C function that the engine calls.
import { type ForeignSymbol, missingLibcSymbols, symbolName } from "@ambit/linux/syscalls";
import { engineError } from "./errors.ts";
import { missingOpenSslSymbols } from "./openssl.ts";
import { missingSocketSymbols } from "./socket-io.ts";

export interface SelfTest {
  readonly ok: boolean;
  /** Names with the manual page that describes them. */
  readonly missing: readonly string[];
  readonly node: string;
  readonly openssl: string;
}

const EXPECTED = "the official Linux build of Node 26 (glibc, with its own OpenSSL 3.5 or later)";

export function selfTest(): SelfTest {
  const missing = [...missingLibcSymbols, ...missingSocketSymbols, ...missingOpenSslSymbols].map(describe);
  return { ok: missing.length === 0, missing, node: process.versions.node, openssl: process.versions.openssl };
}

/** @throws ENGINE_SYMBOLS_MISSING with the names and what to install instead */
export function assertSymbols(): void {
  const { ok, missing, node } = selfTest();
  if (ok) return;
  const message = `Node ${node} does not export ${missing.join(", ")}; use ${EXPECTED}`;
  throw engineError("ENGINE_SYMBOLS_MISSING", message, { details: { missing } });
}

function describe(symbol: ForeignSymbol): string {
  return `${symbolName(symbol.declaration)}, see ${symbol.manual}`;
}
