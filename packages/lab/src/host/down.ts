// `down`: ends the lab of a state directory, whatever became of the processes that held it.
import { setTimeout as sleep } from "node:timers/promises";
import { LabClient } from "../api/client.ts";
import { labError } from "../errors.ts";
import type { LabInfo } from "../labd.ts";
import { defaultLabDirectory, labPaths } from "../paths.ts";
import { isAlive } from "./process-identity.ts";
import { endNamespaces, readInfo, removeDirectory } from "./state-directory.ts";

const ENDS_WITHIN_MS = 60_000;
const LOOK_AGAIN_MS = 50;

/** @throws LAB_NOT_RUNNING when there is nothing to end */
export async function down(_args: readonly string[]): Promise<void> {
  const paths = labPaths(defaultLabDirectory(process.env));
  const info = await readInfo(paths);
  if (info === undefined) throw labError("LAB_NOT_RUNNING", `No lab runs in ${paths.root}`);
  const client = new LabClient(paths.socket);
  const asked = await client.shutDown().then(
    () => true,
    () => false,
  );
  await client.close();
  if (!asked && isAlive(info.host)) process.kill(info.host.pid, "SIGTERM");
  if (!(await ended(info))) process.kill(info.host.pid, "SIGKILL");
  await endNamespaces(paths);
  await removeDirectory(paths);
}

/** False when it has not ended in time. */
async function ended(info: LabInfo): Promise<boolean> {
  for (const deadline = Date.now() + ENDS_WITHIN_MS; isAlive(info.host); await sleep(LOOK_AGAIN_MS))
    if (Date.now() > deadline) return false;
  return true;
}
