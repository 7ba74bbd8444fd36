// What the kernel says of a pod's network namespace, and the one setting that we make there.
import { readFileSync, writeFileSync } from "node:fs";
import { type Netns, runInNetns } from "@ambit/linux";

/** False where IPv6 is switched off on loopback, or not in the kernel at all. */
export function podHasIpv6(netns: Netns): boolean {
  return runInNetns(netns, () => {
    try {
      return readFileSync("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "utf8").trim() !== "1";
    } catch {
      return false;
    }
  });
}

/**
 * Lets connections that wait in the queue of a closing listener move to the other listeners of its port (Linux 5.14), so that neither a
 * worker that dies nor a proxy that is replaced refuses any. @returns why it could not be set
 */
export function migrateQueuedConnections(netns: Netns): string | undefined {
  return runInNetns(netns, () => {
    try {
      writeFileSync("/proc/sys/net/ipv4/tcp_migrate_req", "1");
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  });
}
