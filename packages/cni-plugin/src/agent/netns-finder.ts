// Finds the network namespace of a pod that is already running.
import { readdir, readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { hasCode, type IpAddress, type Logger, MeshError, parseIp } from "@ambit/core";
import { type Netns, openNetns, ownNetns, runInNetns } from "@ambit/linux";
import { agentError } from "./errors.ts";
import { describePod, type Pod } from "./pod.ts";

export interface NetnsFinder {
  /** The caller closes what it gets. @throws CNI_NETNS_NOT_FOUND, CNI_NETNS_AMBIGUOUS */
  find(pod: Pod): Promise<Netns>;
}

export interface NetnsFinderOptions {
  /** Where the runtime mounts namespaces, one file each. */
  readonly netnsDirectory: string;
  readonly procDirectory: string;
}

/**
 * First the mounted namespaces that own one of the pod's addresses; when that is not exactly one, the processes of the pod's control
 * group decide. An address alone could be claimed by another pod with the right to configure its network.
 * @source istio cni/pkg/nodeagent/podcgroupns.go
 */
export function createNetnsFinder(logger: Logger, options: NetnsFinderOptions): NetnsFinder {
  return {
    async find(pod) {
      const mounted = await mountedWithAddress(pod.ips, options.netnsDirectory);
      const [only] = mounted;
      if (only !== undefined && mounted.length === 1) return only;
      const found = await ofOldestProcess(pod, options.procDirectory);
      for (const netns of mounted) if (netns !== found) netns.close();
      if (found !== undefined) return found;
      if (mounted.length === 0) {
        throw agentError(
          "CNI_NETNS_NOT_FOUND",
          `No network namespace in ${options.netnsDirectory} and no process in ${options.procDirectory} belongs to pod ${describePod(pod)} with ${pod.ips.join(", ") || "no address"}`,
        );
      }
      logger.warn("Several network namespaces have the address of one pod", {
        pod: describePod(pod),
        ids: mounted.map(({ id }) => id),
      });
      throw new MeshError(
        "CNI_NETNS_AMBIGUOUS",
        `${mounted.length} network namespaces have the address of pod ${describePod(pod)}`,
      );
    },
  };
}

/** Every file is opened, entered and asked; the node's own namespace and second names of the same one do not count. */
async function mountedWithAddress(ips: readonly IpAddress[], directory: string): Promise<Netns[]> {
  const seen = new Set([hostNetnsId()]);
  const found: Netns[] = [];
  for (const name of await namesIn(directory)) {
    const netns = tryOpen(join(directory, name));
    if (netns === undefined) continue;
    if (!seen.has(netns.id) && owns(netns, ips)) found.push(netns);
    else netns.close();
    seen.add(netns.id);
  }
  return found;
}

async function ofOldestProcess(pod: Pod, procDirectory: string): Promise<Netns | undefined> {
  const host = hostNetnsId();
  let oldest: { readonly netns: Netns; readonly startTicks: number } | undefined;
  for (const pid of (await namesIn(procDirectory)).filter((name) => /^\d+$/.test(name))) {
    const directory = join(procDirectory, pid);
    if (!(await belongsTo(directory, pod.uid))) continue;
    const startTicks = await startTime(directory);
    if (startTicks === undefined || (oldest !== undefined && startTicks >= oldest.startTicks)) continue;
    const netns = tryOpen(join(directory, "ns/net"));
    if (netns === undefined) continue;
    if (netns.id === host || !owns(netns, pod.ips)) netns.close();
    else {
      oldest?.netns.close();
      oldest = { netns, startTicks };
    }
  }
  return oldest?.netns;
}

/** The control group names the pod by its UID, with dashes (cgroupfs) or underscores (systemd). */
async function belongsTo(processDirectory: string, uid: string): Promise<boolean> {
  const groups = await readOrEmpty(join(processDirectory, "cgroup"));
  return groups.includes(`pod${uid}`) || groups.includes(`pod${uid.replaceAll("-", "_")}`);
}

/** Field 22 of proc(5) stat; the second field may contain spaces and ends with the last parenthesis. */
async function startTime(processDirectory: string): Promise<number | undefined> {
  const stat = await readOrEmpty(join(processDirectory, "stat"));
  const field = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  return field === undefined ? undefined : Number(field);
}

/** The network interfaces that this process's C library lists are those of the namespace the thread is in. */
function owns(netns: Netns, ips: readonly IpAddress[]): boolean {
  const own = runInNetns(netns, () => Object.values(networkInterfaces()).flatMap((list) => list ?? []));
  const addresses = new Set(own.map((entry) => parseIp(entry.address)));
  return ips.some((ip) => addresses.has(ip));
}

function hostNetnsId(): string {
  const host = ownNetns();
  host.close();
  return host.id;
}

/** Undefined for what is no namespace, or has gone since the directory was read. */
function tryOpen(path: string): Netns | undefined {
  try {
    return openNetns(path);
  } catch (error) {
    if (hasCode(error, "LINUX_NETNS_INVALID")) return undefined;
    throw error;
  }
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** Processes end while they are looked at. */
async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isGone(error)) return "";
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return ["ENOENT", "ESRCH", "EACCES"].some((code) => hasCode(error, code));
}
