// Where a lab keeps what it writes, and where the repository keeps what the lab runs.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { labError } from "./errors.ts";

/** The repository's root: the lab runs its programs from source. */
export const REPOSITORY = fileURLToPath(new URL("../../../", import.meta.url));

export const PROGRAMS = {
  controlPlane: join(REPOSITORY, "packages/istiod-lite/src/main.ts"),
  agent: join(REPOSITORY, "packages/cni-plugin/src/agent/main.ts"),
  cniPlugin: join(REPOSITORY, "packages/cni-plugin/src/plugin/main.ts"),
  ztunnel: join(REPOSITORY, "packages/ztunnel/src/main.ts"),
  lab: join(REPOSITORY, "packages/lab/src/main.ts"),
} as const;

export interface LabPaths {
  readonly root: string;
  /** The watched directory of Kubernetes objects. */
  readonly objects: string;
  readonly ca: string;
  readonly tokens: string;
  readonly logs: string;
  /** resolv.conf files of pods. */
  readonly resolv: string;
  readonly socket: string;
  /** What labd is to do, and for which process. */
  readonly info: string;
  /** The process that holds the namespaces. */
  readonly holder: string;
  log(name: string): string;
  /** Run directory of a node: sockets of its agent. */
  node(name: string): string;
}

/** Unix socket paths end at 107 bytes, and the longest name below the root is `node-a/ztunnel.sock`. */
const MAX_ROOT_LENGTH = 80;

/** `AMBIT_LAB_DIR`, else the user's runtime directory, else one in /tmp with the user's number. */
export function defaultLabDirectory(env: Readonly<Record<string, string | undefined>>): string {
  const chosen = env["AMBIT_LAB_DIR"];
  if (chosen) return chosen;
  const runtime = env["XDG_RUNTIME_DIR"];
  if (runtime && existsSync(runtime)) return join(runtime, "ambit-lab");
  return `/tmp/ambit-lab-${process.getuid?.() ?? 0}`;
}

/** @throws LAB_DIRECTORY_UNUSABLE when the path is too long for sockets in it */
export function labPaths(root: string): LabPaths {
  if (Buffer.byteLength(root) > MAX_ROOT_LENGTH)
    throw labError(
      "LAB_DIRECTORY_UNUSABLE",
      `${root} is too long for sockets in it: set AMBIT_LAB_DIR to a path of at most ${MAX_ROOT_LENGTH} bytes`,
    );
  const logs = join(root, "logs");
  return {
    root,
    objects: join(root, "objects"),
    ca: join(root, "ca"),
    tokens: join(root, "tokens"),
    logs,
    resolv: join(root, "resolv"),
    socket: join(root, "labd.sock"),
    info: join(root, "lab.json"),
    holder: join(root, "holder.json"),
    log: (name) => join(logs, `${name}.log`),
    node: (name) => join(root, name),
  };
}
