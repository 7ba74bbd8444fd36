// Keeps the node's own connections to enrolled pods working: probes get a source address that redirection lets through.
import { type IpAddress, ipFamily, type PodUid } from "@ambit/core";
import { AddressSet, type IpFamily, type RuleRunner, type RunCommand } from "@ambit/linux";
import { hostRules, type ProbeSources } from "./redirection.ts";
import { applyText, compareRules, removalText } from "./rule-set.ts";

const SET_NAMES: Readonly<Record<IpFamily, string>> = { 4: "istio-inpod-probes-v4", 6: "istio-inpod-probes-v6" };

export interface HostProbesDeps {
  readonly runner: RuleRunner;
  readonly run: RunCommand;
}

export interface HostProbesOptions {
  readonly ipv6: boolean;
  readonly probes: ProbeSources;
}

/** The exemption in the node's network namespace, which is the caller's. Every method is idempotent. */
export class HostProbes {
  readonly #runner: RuleRunner;
  readonly #options: HostProbesOptions;
  readonly #sets: readonly AddressSet[];

  constructor(deps: HostProbesDeps, options: HostProbesOptions) {
    this.#runner = deps.runner;
    this.#options = options;
    const families: readonly IpFamily[] = options.ipv6 ? [4, 6] : [4];
    this.#sets = families.map((family) => new AddressSet(deps.run, SET_NAMES[family], family));
  }

  /** Makes sets and rules; also puts right what somebody changed. True when something had to be written. */
  async ensure(): Promise<boolean> {
    let written = false;
    for (const set of this.#sets) {
      await set.create();
      const rules = hostRules(set.name, set.family === 4 ? this.#options.probes.v4 : this.#options.probes.v6, set.family);
      const saved = await this.#runner.save(set.family);
      if (compareRules(rules, saved).differences.length === 0) continue;
      await this.#runner.restore(set.family, removalText(saved, false) + applyText(rules, new Map()));
      written = true;
    }
    return written;
  }

  async allow(uid: PodUid, ips: readonly IpAddress[]): Promise<void> {
    for (const ip of ips) await this.#setFor(ip)?.add(ip, uid);
  }

  /** Takes out only what still belongs to this pod: an address may already be another pod's. */
  async forbid(uid: PodUid, ips: readonly IpAddress[]): Promise<void> {
    for (const ip of ips) await this.#setFor(ip)?.remove(ip, uid);
  }

  /** Makes the sets hold exactly these pods' addresses. */
  async replaceAll(pods: readonly { readonly uid: PodUid; readonly ips: readonly IpAddress[] }[]): Promise<void> {
    for (const set of this.#sets) {
      const wanted = new Map<IpAddress, PodUid>();
      for (const { uid, ips } of pods) for (const ip of ips) if (ipFamily(ip) === set.family) wanted.set(ip, uid);
      const found = await set.entries();
      for (const [ip, owner] of found) if (!wanted.has(ip)) await set.remove(ip, owner);
      for (const [ip, uid] of wanted) if (found.get(ip) !== uid) await set.add(ip, uid);
    }
  }

  /** Rules first: a set in use cannot be destroyed. */
  async remove(): Promise<void> {
    for (const set of this.#sets) {
      const text = removalText(await this.#runner.save(set.family), false);
      if (text !== "") await this.#runner.restore(set.family, text);
      await set.destroy();
    }
  }

  #setFor(ip: IpAddress): AddressSet | undefined {
    return this.#sets.find((set) => set.family === ipFamily(ip));
  }
}
