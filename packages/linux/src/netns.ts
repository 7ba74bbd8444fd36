// Network namespaces as values, and how to run something inside one.
import { closeSync, fstatSync, openSync } from "node:fs";
import { MeshError } from "@ambit/core";
import { lastErrno } from "./foreign.ts";
import { checked, errnoText, libc, systemError } from "./libc.ts";

/** A network namespace kept open. Passed between threads as its `token`. */
export interface Netns {
  /** `<device>:<inode>`: equal for the same namespace, whichever way it was opened. */
  readonly id: string;
  /** Structured-cloneable stand-in; `netnsFromToken` in another thread of this process gives the same namespace. */
  readonly token: NetnsToken;
  close(): void;
}

export interface NetnsToken {
  readonly id: string;
  readonly fd: number;
}

const CLONE_NEWNET = 0x40000000;
const F_DUPFD_CLOEXEC = 1030;
/** ioctl_ns(2) */
const NS_GET_NSTYPE = 0xb703;

/** Opens a namespace by its file: `/run/netns/x`, `/proc/<pid>/ns/net`. @throws LINUX_NETNS_INVALID */
export function openNetns(path: string): Netns {
  let opened: number;
  try {
    opened = openSync(path, "r");
  } catch (cause) {
    throw new MeshError("LINUX_NETNS_INVALID", `Cannot open network namespace ${path}: ${String(cause)}`, {
      cause,
      details: { path },
    });
  }
  // Node keeps count of what a thread has opened through it and closes that with the thread; a namespace's descriptor is only ours.
  const fd = libc.fcntl(opened, F_DUPFD_CLOEXEC, 0);
  closeSync(opened);
  if (fd < 0) throw systemError(`fcntl(F_DUPFD_CLOEXEC) of ${path}`);
  return adoptNetns(fd, path);
}

/** The namespace that this process was started in; the main thread never stays in another one. */
export function ownNetns(): Netns {
  return openNetns("/proc/self/ns/net");
}

/** Takes over a descriptor, for example one received over a socket; it is closed when it is no network namespace. @throws LINUX_NETNS_INVALID */
export function adoptNetns(fd: number, origin = `descriptor ${fd}`): Netns {
  const type = libc.ioctl(fd, NS_GET_NSTYPE, 0);
  if (type === CLONE_NEWNET) return new OpenNetns(fd);
  libc.close(fd);
  throw new MeshError("LINUX_NETNS_INVALID", `Not a network namespace: ${origin}`, { details: { origin } });
}

/** The same namespace in another thread, with a descriptor of its own. @throws LINUX_NETNS_INVALID when the sender has closed it meanwhile */
export function netnsFromToken(token: NetnsToken): Netns {
  const fd = libc.fcntl(token.fd, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) throw new MeshError("LINUX_NETNS_INVALID", `Network namespace ${token.id} is closed: ${errnoText(lastErrno())}`);
  const netns = adoptNetns(fd, `token of ${token.id}`);
  if (netns.id === token.id) return netns;
  netns.close();
  throw new MeshError("LINUX_NETNS_INVALID", `Network namespace ${token.id} is closed and its descriptor now names ${netns.id}`);
}

/**
 * Runs `action` on this thread inside `netns` and comes back, whatever happens; undefined runs it where the thread is. Costs 1 µs.
 * `action` must be synchronous: after an await the thread would be outside again.
 * @throws LINUX_SYSTEM_CALL_FAILED when the namespace cannot be entered (CAP_SYS_ADMIN)
 */
export function runInNetns<T>(netns: Netns | undefined, action: () => T): T {
  if (netns === undefined) return action();
  const home = homeFd();
  checked(libc.setns(netns.token.fd, CLONE_NEWNET), `Cannot enter network namespace ${netns.id}`);
  try {
    const result = action();
    if (result instanceof Promise) throw new TypeError("runInNetns() takes synchronous functions only");
    return result;
  } finally {
    if (libc.setns(home, CLONE_NEWNET) !== 0) {
      // Anything this thread does now would happen in somebody else's namespace: there is no safe way on.
      process.stderr.write(`cannot return from network namespace ${netns.id}: ${errnoText(lastErrno())}\n`);
      process.abort();
    }
  }
}

let home: number | undefined;

function homeFd(): number {
  home ??= openSync("/proc/thread-self/ns/net", "r");
  return home;
}

class OpenNetns implements Netns {
  readonly id: string;
  readonly token: NetnsToken;
  #open = true;

  constructor(fd: number) {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    this.id = `${dev}:${ino}`;
    this.token = { id: this.id, fd };
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    libc.close(this.token.fd);
  }
}
