// Functions of the C libraries that the process already carries, bound once each from a table of declarations.
import { MeshError } from "@ambit/core";
import koffi from "koffi";

/** Return type, name and parameters in C, with every pointer as uint64_t; `manual` says where the function is documented. */
export interface ForeignSymbol {
  readonly declaration: string;
  readonly manual: string;
}

export type ForeignTable = readonly (readonly [declaration: string, manual: string])[];

// The executable itself: Node exports libc, OpenSSL and the other libraries it is linked with.
const executable = koffi.load(null);

export interface ForeignBinding<T> {
  readonly functions: T;
  /** Declarations that the executable does not have; calling such a function throws LINUX_SYMBOL_MISSING. */
  readonly missing: readonly ForeignSymbol[];
}

/** Binds all functions of a table; a missing one is reported by the self-test and fails only when it is called. */
export function bindForeign<T extends object>(table: ForeignTable): ForeignBinding<T> {
  const functions: Record<string, unknown> = {};
  const missing: ForeignSymbol[] = [];
  for (const [declaration, manual] of table) {
    const name = symbolName(declaration);
    try {
      functions[name] = executable.func(declaration);
    } catch (cause) {
      missing.push({ declaration, manual });
      functions[name] = () => {
        throw new MeshError(
          "LINUX_SYMBOL_MISSING",
          `This Node build has no function ${name} (${manual}); use Node 26 from nodejs.org`,
          {
            cause,
            details: { symbol: name },
          },
        );
      };
    }
  }
  return { functions: functions as T, missing };
}

export function symbolName(declaration: string): string {
  return /(\w+)\s*\(/.exec(declaration)?.[1] ?? declaration;
}

/** A function of the table as one that runs on a thread of the pool, for calls that block. */
export function bindBlocking(declaration: string): (...args: number[]) => Promise<number> {
  const bound = executable.func(declaration);
  return (...args) =>
    new Promise((resolve, reject) => {
      bound.async(...args, (error: Error | null, result: number) => {
        if (error === null) resolve(result);
        else reject(error);
      });
    });
}

/** errno of the thread's last call; only meaningful directly after a call that failed. */
export function lastErrno(): number {
  return koffi.errno();
}
