// Starts labd in mount, network and process namespaces of its own; as a normal user in a user namespace as well.
import { type ChildProcess, spawn } from "node:child_process";
import { runCommand } from "@ambit/linux";
import { labError } from "../errors.ts";
import { programPath } from "../namespaced-process.ts";
import { type LabPaths, PROGRAMS } from "../paths.ts";

/**
 * The shell is the first process of the namespace: it takes in orphans, and when it ends the kernel ends everything else.
 * A state directory below /run would be hidden by the file system that is mounted over it, and is bound into it again;
 * where /etc/resolv.conf is a link into /run, pods need something there to bind theirs to.
 */
const BOOT = `
set -e
cd "$1"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock
case "$1" in /run/* | /var/run/*)
  mkdir -p "$1"
  mount -c --bind . "$1"
  cd "$1"
esac
resolv=$(readlink -m /etc/resolv.conf)
[ -e "$resolv" ] || { mkdir -p "$(dirname "$resolv")" && : >"$resolv"; }
shift
"$@"
`;

const UNSHARE = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
const AS_ROOT_OF_ITS_OWN = ["--user", "--map-root-user"];

/** Its standard input is the leash: labd ends when it ends. @param log descriptor for both outputs */
export async function startNamespaces(paths: LabPaths, log: number): Promise<ChildProcess> {
  const user = process.getuid?.() === 0 ? [] : AS_ROOT_OF_ITS_OWN;
  if (user.length > 0) await checkUserNamespaces();
  const command = [process.execPath, PROGRAMS.lab, "labd", paths.root];
  return spawn("unshare", [...user, ...UNSHARE, "--", "sh", "-c", BOOT, "labd", paths.root, ...command], {
    cwd: "/",
    env: { ...process.env, PATH: programPath() },
    stdio: ["pipe", log, log],
    // Ctrl-C is for whoever started the lab, who then ends it in order.
    detached: true,
  });
}

/** @throws LAB_NAMESPACES_FORBIDDEN saying what to allow */
async function checkUserNamespaces(): Promise<void> {
  const { exitCode, stderr } = await runCommand("unshare", [...AS_ROOT_OF_ITS_OWN, "--net", "true"]);
  if (exitCode === 0) return;
  throw labError(
    "LAB_NAMESPACES_FORBIDDEN",
    `This kernel does not allow user namespaces to normal users (${stderr.trim()}). Run the command as root, or as root allow them once:
  sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0`,
  );
}
