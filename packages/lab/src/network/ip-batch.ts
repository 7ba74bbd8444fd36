// Many `ip` commands in one namespace with one process.

import { existsSync, writeFileSync } from "node:fs";
import { openNetns, runChecked, runCommand, runInNetns } from "@ambit/linux";

/** @param netns name of a namespace in /run/netns; undefined is the caller's own. @throws LINUX_COMMAND_FAILED with ip's own words */
export async function ipBatch(netns: string | undefined, lines: readonly string[]): Promise<void> {
  const where = netns === undefined ? [] : ["-n", netns];
  await runChecked(runCommand, "ip", [...where, "-batch", "-"], { input: `${lines.join("\n")}\n` });
}

export async function addNetns(name: string): Promise<void> {
  await runChecked(runCommand, "ip", ["netns", "add", name]);
}

export async function deleteNetns(name: string): Promise<void> {
  await runChecked(runCommand, "ip", ["netns", "del", name]);
}

export const netnsPath = (name: string): string => `/run/netns/${name}`;

/** Kernel settings of a network namespace, `net/ipv4/ip_forward`. Those of modules that are not loaded have nothing to say. */
export function setSysctls(netns: string, settings: Readonly<Record<string, string>>): void {
  const opened = openNetns(netnsPath(netns));
  try {
    runInNetns(opened, () => {
      for (const [name, value] of Object.entries(settings)) {
        const file = `/proc/sys/${name}`;
        if (existsSync(file)) writeFileSync(file, value);
      }
    });
  } finally {
    opened.close();
  }
}
