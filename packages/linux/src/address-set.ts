// Sets of addresses in the kernel (ipset), each entry with a comment that says whom it belongs to.
import { type IpAddress, parseIp } from "@ambit/core";
import { type RunCommand, runChecked } from "./command.ts";
import type { IpFamily } from "./rule-runner.ts";

/** One set of type hash:ip in the caller's network namespace. Every method is idempotent. */
export class AddressSet {
  readonly name: string;
  readonly family: IpFamily;
  readonly #run: RunCommand;

  constructor(run: RunCommand, name: string, family: IpFamily) {
    this.#run = run;
    this.name = name;
    this.family = family;
  }

  async create(): Promise<void> {
    await this.#ipset("-exist", "create", this.name, "hash:ip", "family", this.family === 4 ? "inet" : "inet6", "comment");
  }

  /** An address that is already there changes its owner. */
  async add(ip: IpAddress, owner: string): Promise<void> {
    await this.#ipset("-exist", "add", this.name, ip, "comment", owner);
  }

  /** Takes the address out only when it still belongs to `owner`: addresses are reused. True when it was there. */
  async remove(ip: IpAddress, owner: string): Promise<boolean> {
    if ((await this.entries()).get(ip) !== owner) return false;
    await this.#ipset("-exist", "del", this.name, ip);
    return true;
  }

  /** Address to owner. */
  async entries(): Promise<ReadonlyMap<IpAddress, string>> {
    const entries = new Map<IpAddress, string>();
    for (const line of (await this.#ipset("save", this.name)).split("\n")) {
      const match = /^add \S+ (\S+)(?: .*?comment "(.*)")?/.exec(line);
      const ip = match === null ? undefined : parseIp(match[1] ?? "");
      if (ip !== undefined) entries.set(ip, match?.[2] ?? "");
    }
    return entries;
  }

  /** Fails while a rule still refers to the set. */
  async destroy(): Promise<void> {
    const result = await this.#run("ipset", ["destroy", this.name]);
    if (result.exitCode === 0 || /does not exist/.test(result.stderr)) return;
    await this.#ipset("destroy", this.name);
  }

  #ipset(...args: string[]): Promise<string> {
    return runChecked(this.#run, "ipset", args);
  }
}
