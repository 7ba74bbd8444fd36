// Mutual exclusion between processes that write into one directory.
import { open, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MeshError } from "@ambit/core";

const LOCK_FILE = ".lock";
const RETRY_MS = 5;
const GIVE_UP_MS = 10_000;
/** Writers hold the lock for milliseconds; one that is this old belongs to a process that is gone, whatever its number says. */
const STALE_MS = 5_000;

/** Runs `action` while no other process is inside. @throws KUBE_STORE_BUSY after 10 s of waiting */
export async function withDirectoryLock<T>(directory: string, action: () => Promise<T>): Promise<T> {
  const path = join(directory, LOCK_FILE);
  const deadline = Date.now() + GIVE_UP_MS;
  while (!(await tryLock(path))) {
    if (Date.now() > deadline)
      throw new MeshError("KUBE_STORE_BUSY", `The lock ${path} is held by another process; remove it if that process is gone`);
    if (await isStale(path)) await rm(path, { force: true });
    else await sleep(RETRY_MS);
  }
  try {
    return await action();
  } finally {
    await rm(path, { force: true });
  }
}

async function tryLock(path: string): Promise<boolean> {
  try {
    const handle = await open(path, "wx");
    await handle.writeFile(String(process.pid));
    await handle.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function isStale(path: string): Promise<boolean> {
  try {
    const [holder, { mtimeMs }] = await Promise.all([readFile(path, "utf8"), stat(path)]);
    if (Date.now() - mtimeMs > STALE_MS) return true;
    return holder !== "" && !isAlive(Number(holder));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
