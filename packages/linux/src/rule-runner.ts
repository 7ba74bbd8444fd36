// iptables-save and iptables-restore as subprocesses, in the backend that this machine uses.
import { MeshError } from "@ambit/core";
import { type RunCommand, runChecked } from "./command.ts";
import type { Netns } from "./netns.ts";
import { parseSavedRules, type SavedTables } from "./rule-text.ts";

export type IpFamily = 4 | 6;
export type RuleBackend = "legacy" | "nft" | "plain";

/** Reads and writes packet filter rules. `netns` undefined means the namespace of the caller. */
export interface RuleRunner {
  readonly backend: RuleBackend;
  /** @throws LINUX_COMMAND_FAILED when the rules cannot be read: nothing is known about them then */
  save(family: IpFamily, netns?: Netns): Promise<SavedTables>;
  /** Applies the text on top of what is there; atomic per table. @throws LINUX_COMMAND_FAILED with iptables' own words */
  restore(family: IpFamily, text: string, netns?: Netns): Promise<void>;
}

export interface RuleRunnerOptions {
  /** Overrides detection. */
  readonly force?: "legacy" | "nft" | undefined;
  /** Lock for rules inside other namespaces, so that they do not wait for the machine's own lock. Absent: the machine's. */
  readonly scopedLockFile?: string | undefined;
}

interface Backend {
  readonly name: RuleBackend;
  readonly waits: boolean;
  readonly scopedLock: boolean;
}

const LOCK_WAIT_SECONDS = 30;
const TABLES = ["raw", "mangle", "nat", "filter"];
/** Protocol 255 is reserved and no packet carries it; nothing jumps to the chain either. */
const PROBE =
  "*filter\n:ISTIO_PROBE - [0:0]\n-A ISTIO_PROBE -p 255 -j DROP\nCOMMIT\n*filter\n-F ISTIO_PROBE\n-X ISTIO_PROBE\nCOMMIT\n";

/**
 * Chooses the backend from the caller's own namespace, which should be the machine's: legacy when it already holds legacy rules,
 * else the first of nft, legacy and plain `iptables` that can write a rule.
 * @throws LINUX_IPTABLES_UNAVAILABLE when none can, saying what each one answered
 * @source istio tools/istio-iptables/pkg/dependencies DetectIptablesVersion
 */
export async function createRuleRunner(run: RunCommand, options: RuleRunnerOptions = {}): Promise<RuleRunner> {
  const backend = await detectBackend(run, options.force);
  return new IptablesRunner(run, backend, options.scopedLockFile);
}

async function detectBackend(run: RunCommand, force: "legacy" | "nft" | undefined): Promise<Backend> {
  const complaints: string[] = [];
  if (force === undefined && (await holdsLegacyRules(run))) return describe(run, "legacy");
  for (const name of force === undefined ? (["nft", "legacy", "plain"] as const) : [force]) {
    try {
      const backend = await describe(run, name);
      await runChecked(run, program(4, name, "-restore"), restoreArgs(backend), { input: PROBE });
      return backend;
    } catch (error) {
      complaints.push(`${program(4, name)}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new MeshError(
    "LINUX_IPTABLES_UNAVAILABLE",
    `No usable iptables on this machine; install the package iptables (with iptables-nft or iptables-legacy). ${complaints.join("; ")}`,
    { details: { complaints } },
  );
}

async function holdsLegacyRules(run: RunCommand): Promise<boolean> {
  for (const family of [4, 6] as const) {
    try {
      const saved = await run(program(family, "legacy", "-save"), []);
      if (saved.exitCode === 0 && /^-A /m.test(saved.stdout)) return true;
    } catch {
      // Not installed: then there is nothing that wrote legacy rules here.
      return false;
    }
  }
  return false;
}

async function describe(run: RunCommand, name: RuleBackend): Promise<Backend> {
  const text = await runChecked(run, program(4, name), ["--version"]);
  const version = /v(\d+)\.(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number) ?? [0, 0, 0];
  const legacy = name === "legacy" || (name === "plain" && !text.includes("nf_tables"));
  return { name, waits: atLeast(version, [1, 6, 2]), scopedLock: legacy && atLeast(version, [1, 8, 6]) };
}

function atLeast(version: readonly number[], wanted: readonly number[]): boolean {
  const at = wanted.findIndex((part, i) => part !== version[i]);
  return at < 0 || (version[at] ?? 0) > (wanted[at] ?? 0);
}

function program(family: IpFamily, backend: RuleBackend, suffix = ""): string {
  return `${family === 4 ? "iptables" : "ip6tables"}${backend === "plain" ? "" : `-${backend}`}${suffix}`;
}

function restoreArgs(backend: Backend): string[] {
  return backend.waits ? ["--noflush", `--wait=${LOCK_WAIT_SECONDS}`] : ["--noflush"];
}

class IptablesRunner implements RuleRunner {
  readonly #run: RunCommand;
  readonly #backend: Backend;
  readonly #scopedLockFile: string | undefined;

  constructor(run: RunCommand, backend: Backend, scopedLockFile: string | undefined) {
    this.#run = run;
    this.#backend = backend;
    this.#scopedLockFile = backend.scopedLock ? scopedLockFile : undefined;
  }

  get backend(): RuleBackend {
    return this.#backend.name;
  }

  async save(family: IpFamily, netns?: Netns): Promise<SavedTables> {
    const command = program(family, this.#backend.name, "-save");
    const options = this.#options(netns);
    const whole = await this.#run(command, [], options);
    if (whole.exitCode === 0) return parseSavedRules(whole.stdout);
    // In a namespace of a normal user the list of legacy tables may be unreadable while the tables themselves are.
    if (!/table names/.test(whole.stderr)) return parseSavedRules(await runChecked(this.#run, command, [], options));
    const parts: string[] = [];
    for (const table of TABLES) parts.push(await runChecked(this.#run, command, ["-t", table], options));
    return parseSavedRules(parts.join(""));
  }

  async restore(family: IpFamily, text: string, netns?: Netns): Promise<void> {
    await runChecked(this.#run, program(family, this.#backend.name, "-restore"), restoreArgs(this.#backend), {
      ...this.#options(netns),
      input: text,
    });
  }

  #options(netns: Netns | undefined): { netns?: Netns; env?: Record<string, string> } {
    if (netns === undefined) return {};
    return this.#scopedLockFile === undefined ? { netns } : { netns, env: { XTABLES_LOCKFILE: this.#scopedLockFile } };
  }
}
