// The lab's programs: `up`, `down` and `demo` for people, `labd` and `host` for the lab itself.
import { labError } from "./errors.ts";

type Program = (args: readonly string[]) => Promise<void>;

/** Loaded when called: labd needs nothing of the host, and the other way round. */
const PROGRAMS: Readonly<Record<string, () => Promise<Program>>> = {
  up: async () => (await import("./host/up.ts")).up,
  down: async () => (await import("./host/down.ts")).down,
  demo: async () => (await import("./demo/demo.ts")).demo,
  host: async () => (await import("./host/up.ts")).host,
  labd: async () => {
    const { runLabd } = await import("./labd.ts");
    return async ([directory]) => {
      if (directory === undefined) throw labError("LAB_REQUEST_INVALID", "labd needs its state directory");
      await runLabd(directory);
    };
  },
};

const [name = "", ...args] = process.argv.slice(2);
const load = Object.hasOwn(PROGRAMS, name) ? PROGRAMS[name] : undefined;
if (load === undefined) {
  console.error("usage: main.ts up [--no-mesh] [--node NAME]... | down | demo [--check]");
  process.exit(64);
}
try {
  await (await load())(args);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
