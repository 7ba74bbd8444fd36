// Keeps the Service rules of every node as the objects say: kube-proxy's job.
import type { Logger } from "@ambit/core";
import { listKind, type ObjectSource } from "@ambit/kube";
import { type Netns, openNetns, type RuleRunner } from "@ambit/linux";
import { netnsPath } from "../network/ip-batch.ts";
import { FAMILIES } from "../network/plan.ts";
import { frontendsOf } from "./frontends.ts";
import { entryRules, serviceRules } from "./service-rules.ts";

export interface ServiceProxyDeps {
  readonly runner: RuleRunner;
  readonly source: Pick<ObjectSource, "list">;
  readonly logger: Logger;
}

export class ServiceProxy {
  readonly #deps: ServiceProxyDeps;
  readonly #machines: readonly Netns[];
  readonly #written = new Map<string, string>();

  /** @param machines names of the namespaces whose traffic is to find Services */
  constructor(deps: ServiceProxyDeps, machines: readonly string[]) {
    this.#deps = deps;
    this.#machines = machines.map((name) => openNetns(netnsPath(name)));
  }

  async start(): Promise<void> {
    for (const netns of this.#machines)
      for (const family of FAMILIES) await this.#deps.runner.restore(family, entryRules(), netns);
  }

  /** Writes the rules that differ from those written before. */
  async reconcile(): Promise<void> {
    const { runner, source } = this.#deps;
    const [services, slices] = [listKind(source, "Service"), listKind(source, "EndpointSlice")];
    for (const family of FAMILIES) {
      const text = serviceRules(frontendsOf(services, slices, family), family);
      for (const netns of this.#machines) {
        const key = `${family}/${netns.id}`;
        if (this.#written.get(key) === text) continue;
        await runner.restore(family, text, netns);
        this.#written.set(key, text);
      }
    }
  }

  close(): void {
    for (const netns of this.#machines) netns.close();
  }
}
