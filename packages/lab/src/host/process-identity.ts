// Which process a number meant when it was written down.
import { readFileSync } from "node:fs";

/** The kernel's start time of a process, field 22 of proc(5) stat; undefined when there is none, or nothing but its exit code. */
function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field may contain spaces and ends with the last parenthesis.
    const [state = "", ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return "ZX".includes(state) ? undefined : fields[18];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
}

export interface ProcessIdentity {
  readonly pid: number;
  readonly start: string;
}

/** @throws RangeError when there is no such process */
export function identify(pid: number | undefined): ProcessIdentity {
  const start = pid === undefined ? undefined : processStart(pid);
  if (pid === undefined || start === undefined) throw new RangeError(`There is no process ${pid}`);
  return { pid, start };
}

export function isAlive({ pid, start }: ProcessIdentity): boolean {
  return processStart(pid) === start;
}
