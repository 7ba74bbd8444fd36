// Which process a number meant when it was written down.
import { readFileSync } from "node:fs";

/** The kernel's start time of a process, field 22 of proc(5) stat; undefined when there is none. */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field may contain spaces and ends with the last parenthesis.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
}

export function isSameProcess(pid: number, start: string): boolean {
  return processStart(pid) === start;
}
