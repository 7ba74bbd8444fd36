// Puts a pod's redirection in place, checks it, repairs it and takes it out again.
import type { Logger } from "@ambit/core";
import type { IpFamily, Netns, RuleRunner, RunCommand, SavedTables } from "@ambit/linux";
import { agentError } from "./errors.ts";
import { inpodRules, type ProbeSources, type RedirectionSettings } from "./redirection.ts";
import { addReplyRoute, missingReplyRoute, type ReplyRoute, readReplyRoute, removeReplyRoute } from "./reply-route.ts";
import { applyText, compareRules, guardRules, removalText } from "./rule-set.ts";

export interface RedirectorDeps {
  readonly runner: RuleRunner;
  readonly run: RunCommand;
  readonly logger: Logger;
}

export interface RedirectorOptions {
  readonly ipv6: boolean;
  readonly probes: ProbeSources;
}

/** `onDrift` says what to do with rules that are there but not as they should be: overwrite, or close the pod and start afresh. */
export type OnDrift = "overwrite" | "repair";
export type EnsureOutcome = "unchanged" | "applied" | "repaired";

export interface Inspection {
  readonly residue: boolean;
  /** Empty when the pod is redirected exactly as it should be. */
  readonly differences: readonly string[];
}

/** What one address family holds at one moment. */
interface Found {
  readonly family: IpFamily;
  readonly saved: SavedTables;
  readonly route: ReplyRoute;
}

const TCP_LOOSE_FILE = "/proc/sys/net/netfilter/nf_conntrack_tcp_loose";

export class Redirector {
  readonly #deps: RedirectorDeps;
  readonly #options: RedirectorOptions;

  constructor(deps: RedirectorDeps, options: RedirectorOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  async inspect(netns: Netns, settings: RedirectionSettings): Promise<Inspection> {
    return this.#explained("read", async () => this.#compare(await this.#readAll(netns), settings));
  }

  /**
   * Idempotent; writes nothing when nothing is missing.
   * @throws CNI_REDIRECTION_FAILED; when it happened during a repair the guard rails stay and the pod remains closed
   * @source istio cni/pkg/iptables/iptables.go CreateInpodRules; ambient-data-plane 2.8
   */
  async ensure(netns: Netns, settings: RedirectionSettings, onDrift: OnDrift): Promise<EnsureOutcome> {
    return this.#explained("put in place", async () => {
      const found = await this.#readAll(netns);
      const { residue, differences } = this.#compare(found, settings);
      if (differences.length === 0) return "unchanged";
      if (!residue || onDrift === "overwrite") {
        if (residue) this.#deps.logger.warn("Redirection rules differ, writing over them", { differences });
        await this.#apply(netns, settings, found);
        return "applied";
      }
      this.#deps.logger.warn("Redirection rules differ, repairing them behind guard rails", { differences });
      await this.#repair(netns, settings, found);
      return "repaired";
    });
  }

  /**
   * Takes out everything of ours and makes sure that nothing is left. Idempotent.
   * @throws CNI_REDIRECTION_FAILED
   */
  async remove(netns: Netns): Promise<void> {
    await this.#explained("removed", async () => {
      await this.#inEveryFamily(async (family) => {
        const found = await this.#read(netns, family);
        await this.#removeRules(netns, found, false);
        await removeReplyRoute(this.#deps.run, netns, found.route);
        const left = removalText(await this.#deps.runner.save(family, netns), false);
        if (left !== "") throw agentError("CNI_REDIRECTION_FAILED", `IPv${family} rules are still there after removal: ${left}`);
      });
      await this.#adoptConnections(netns, true);
    });
  }

  async #readAll(netns: Netns): Promise<readonly Found[]> {
    return this.#inEveryFamily((family) => this.#read(netns, family));
  }

  async #read(netns: Netns, family: IpFamily): Promise<Found> {
    const { runner, run } = this.#deps;
    const [saved, route] = await together([runner.save(family, netns), readReplyRoute(run, netns, family)]);
    return { family, saved, route };
  }

  #compare(found: readonly Found[], settings: RedirectionSettings): Inspection {
    const parts = found.map(({ family, saved, route }) => {
      const comparison = compareRules(inpodRules(settings, this.#options.probes, family), saved);
      const differences = [...comparison.differences.map((text) => `IPv${family} ${text}`), ...missingReplyRoute(route)];
      return { residue: comparison.residue, differences };
    });
    return { residue: parts.some((part) => part.residue), differences: parts.flatMap((part) => part.differences) };
  }

  /** Routes come first: a reply that is marked before its route exists would leave the pod. */
  async #apply(netns: Netns, settings: RedirectionSettings, found: readonly Found[]): Promise<void> {
    await together([
      ...found.map(({ route }) => addReplyRoute(this.#deps.run, netns, route)),
      this.#adoptConnections(netns, false),
    ]);
    await this.#inEveryFamily(async (family) => {
      const saved = found.find((part) => part.family === family)?.saved ?? new Map();
      await this.#deps.runner.restore(family, applyText(inpodRules(settings, this.#options.probes, family), saved), netns);
    });
  }

  /**
   * Rules start connection tracking in the pod's namespace. By default the kernel would take the next packet of a connection that is
   * already running for the first of a new one, redirect it, and so reset the connection; with this off such packets pass untouched.
   * @source Linux Documentation/networking/nf_conntrack-sysctl.rst nf_conntrack_tcp_loose
   */
  async #adoptConnections(netns: Netns, adopt: boolean): Promise<void> {
    const written = await this.#deps.run("tee", [TCP_LOOSE_FILE], { netns, input: adopt ? "1\n" : "0\n" });
    if (written.exitCode === 0) return;
    this.#deps.logger.warn("Connections that the pod has open may be reset when it is taken into the mesh", {
      file: TCP_LOOSE_FILE,
      reason: written.stderr.trim(),
    });
  }

  /** Order: close, take out, put in, check, open. A failure anywhere leaves the pod closed for the next try. */
  async #repair(netns: Netns, settings: RedirectionSettings, found: readonly Found[]): Promise<void> {
    const { runner } = this.#deps;
    await together(found.map(({ family, saved }) => runner.restore(family, applyText({ family, ...guardRules }, saved), netns)));
    await together(found.map((part) => this.#removeRules(netns, part, true)));
    await this.#apply(netns, settings, await this.#readAll(netns));
    await this.#inEveryFamily((family) => this.#removeGuard(netns, settings, family));
  }

  async #removeGuard(netns: Netns, settings: RedirectionSettings, family: IpFamily): Promise<void> {
    const { runner } = this.#deps;
    const saved = await runner.save(family, netns);
    const withoutGuard = new Map([...saved].filter(([table]) => table !== "filter"));
    const wrong = compareRules(inpodRules(settings, this.#options.probes, family), withoutGuard).differences;
    if (wrong.length > 0) {
      throw agentError("CNI_REDIRECTION_FAILED", `IPv${family} rules are not right after a repair: ${wrong.join("; ")}`);
    }
    const text = removalText(new Map([...saved].filter(([table]) => table === "filter")), false);
    if (text !== "") await runner.restore(family, text, netns);
  }

  async #removeRules(netns: Netns, { family, saved }: Found, keepGuard: boolean): Promise<void> {
    const text = removalText(saved, keepGuard);
    if (text !== "") await this.#deps.runner.restore(family, text, netns);
  }

  /** Both families at once: their rules do not touch each other. */
  #inEveryFamily<T>(action: (family: IpFamily) => Promise<T>): Promise<T[]> {
    return together((this.#options.ipv6 ? ([4, 6] as const) : ([4] as const)).map(action));
  }

  async #explained<T>(what: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw agentError("CNI_REDIRECTION_FAILED", `The pod's redirection could not be ${what}: ${reason}`, error);
    }
  }
}

/** Like Promise.all, but a failure is thrown only when nothing is under way any more: a second try must not meet the rest of the first. */
async function together<T extends readonly unknown[]>(parts: { [Index in keyof T]: Promise<T[Index]> }): Promise<T> {
  await Promise.allSettled(parts);
  return Promise.all(parts) as unknown as Promise<T>;
}
