// Processes of the rig: started in a network namespace, measured by /proc, ended by their own id.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";

/** Clock ticks per second of /proc/PID/stat; fixed at 100 by the kernel's user-space interface. */
const TICKS_PER_SECOND = 100;

export interface StartOptions {
  /** Undefined: the caller's own. */
  readonly netns: string | undefined;
  readonly logFile: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export function startIn(options: StartOptions, command: string, args: readonly string[]): ChildProcess {
  const log = openSync(options.logFile, "a");
  const [program = command, ...rest] =
    options.netns === undefined ? [command, ...args] : ["nsenter", `--net=/run/netns/${options.netns}`, command, ...args];
  const child = spawn(program, rest, {
    stdio: ["ignore", log, log],
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
  });
  closeSync(log);
  return child;
}

/** Runs a program to its end and gives its standard output. Throws with its standard error when it fails. */
export function runIn(netns: string, command: string, args: readonly string[], timeoutMs = 60_000): string {
  const result = spawnSync("nsenter", [`--net=/run/netns/${netns}`, command, ...args], {
    encoding: "utf8",
    timeout: timeoutMs,
    maxBuffer: 64 << 20,
  });
  if (result.status !== 0) {
    throw new Error(
      `${command} ${args.join(" ")} failed (${result.status ?? result.signal}): ${result.stderr || result.stdout || result.error}`,
    );
  }
  return result.stdout;
}

/** The process and everything below it. */
export function processTree(pid: number): number[] {
  const tree = [pid];
  try {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim();
      if (children !== "") for (const child of children.split(" ")) tree.push(...processTree(Number(child)));
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  return tree;
}

/** User and system time of these processes, in seconds. */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / TICKS_PER_SECOND;
}

/** Resident memory of these processes, in mebibytes. */
export function residentMebibytes(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids) kib += Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  return kib / 1024;
}

export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 3_000);
  await exited;
  clearTimeout(timer);
}
