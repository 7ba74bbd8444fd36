// The lab's state directory: made fresh, and cleared of what a lab has left that was killed.
import { lstat, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { labError } from "../errors.ts";
import type { LabInfo } from "../labd.ts";
import type { LabPaths } from "../paths.ts";
import { isAlive, type ProcessIdentity } from "./process-identity.ts";

/** @throws LAB_ALREADY_RUNNING; LAB_DIRECTORY_UNUSABLE when it is not ours to clear */
export async function prepareDirectory(paths: LabPaths): Promise<void> {
  const info = await readInfo(paths);
  if (info !== undefined && isAlive(info.host))
    throw labError("LAB_ALREADY_RUNNING", `A lab runs in ${paths.root} already; ambit lab down ends it`);
  await endNamespaces(paths);
  await removeDirectory(paths);
  await mkdir(paths.root, { recursive: true, mode: 0o700 });
  await mkdir(paths.logs, { recursive: true, mode: 0o700 });
}

const GONE_LOOK_MS = 20;

/** Namespaces whose host was killed end by themselves, in order; here they are in the way and end at once. */
export async function endNamespaces(paths: LabPaths): Promise<void> {
  const text = await readFile(paths.holder, "utf8").catch(absent);
  if (text === undefined) return;
  const holder = JSON.parse(text) as ProcessIdentity;
  if (!isAlive(holder)) return;
  process.kill(holder.pid, "SIGKILL");
  while (isAlive(holder)) await sleep(GONE_LOOK_MS);
}

/** Only a directory of ours goes: one that holds a lab's files or nothing. */
export async function removeDirectory(paths: LabPaths): Promise<void> {
  const found = await lstat(paths.root).catch(absent);
  if (found === undefined) return;
  if (!found.isDirectory() || found.uid !== process.getuid?.())
    throw labError("LAB_DIRECTORY_UNUSABLE", `${paths.root} is not a directory of yours; set AMBIT_LAB_DIR to another path`);
  const names = await readdir(paths.root);
  if (names.length > 0 && !names.some((name) => OWN_NAMES.has(name)))
    throw labError("LAB_DIRECTORY_UNUSABLE", `${paths.root} holds files that are no lab's; set AMBIT_LAB_DIR to another path`);
  await rm(paths.root, { recursive: true, force: true });
}

/** A directory that a lab has only begun to fill has the one, a removed one may have lost the other. */
const OWN_NAMES: ReadonlySet<string> = new Set(["lab.json", "logs", "objects"]);

/** Undefined when no lab has written it. */
export async function readInfo(paths: LabPaths): Promise<LabInfo | undefined> {
  const text = await readFile(paths.info, "utf8").catch(absent);
  return text === undefined ? undefined : (JSON.parse(text) as LabInfo);
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT") return undefined;
  throw error;
}
