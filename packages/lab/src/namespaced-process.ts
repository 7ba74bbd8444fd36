// A program started inside a network namespace, with a view of files of its own: the lab's stand-in for a container.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { netnsPath } from "./network/ip-batch.ts";

export interface ProcessSpec {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Name in /run/netns. */
  readonly netns: string;
  /** Stands in for /etc/resolv.conf; absent: the machine's. */
  readonly resolvConf?: string | undefined;
}

/**
 * Namespaces of pods that come and go are seen inside, mounts made inside stay there. The shell becomes the program, so the
 * process id is the program's.
 */
const OWN_MOUNTS = ["unshare", "--mount", "--propagation", "slave", "--"];
const WITH_RESOLV_CONF = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"';

/** Appends both outputs to `logFile`. The process leads a group of its own, so that signals reach its children too. */
export function startProcess(spec: ProcessSpec, logFile: string): ChildProcess {
  const log = openSync(logFile, "a", 0o600);
  try {
    return spawnIn(spec, ["ignore", log, log]);
  } finally {
    closeSync(log);
  }
}

/** Both outputs and the input are pipes. */
export function startPiped(spec: ProcessSpec): ChildProcess {
  return spawnIn(spec, ["pipe", "pipe", "pipe"]);
}

function spawnIn({ argv, cwd, env, netns, resolvConf }: ProcessSpec, stdio: ("pipe" | "ignore" | number)[]): ChildProcess {
  const view = resolvConf === undefined ? argv : [...OWN_MOUNTS, "sh", "-c", WITH_RESOLV_CONF, "sh", resolvConf, ...argv];
  return spawn("nsenter", [`--net=${netnsPath(netns)}`, "--", ...view], {
    cwd,
    env: { PATH: programPath(), LC_ALL: "C.UTF-8", ...compileCache(), ...env },
    stdio,
    detached: true,
  });
}

/** Where whoever started the lab keeps what was compiled, its processes keep it too: a proxy that is restarted is back sooner. */
function compileCache(): Readonly<Record<string, string>> {
  const directory = process.env["NODE_COMPILE_CACHE"];
  return directory === undefined ? {} : { NODE_COMPILE_CACHE: directory };
}

/** The runtime that runs the lab comes first: `node` in a manifest means the same one. */
export function programPath(): string {
  return `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
}

/** Sends the signal to the process and its children; false when it has ended. */
export function signalGroup(child: ChildProcess, signal: NodeJS.Signals): boolean {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return false;
  try {
    return process.kill(-child.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}
