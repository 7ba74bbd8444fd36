// Connections from inside a namespace, for a process that stays outside of it.
import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type IpAddress, parseIp } from "@ambit/core";
import { openNetns } from "@ambit/linux";
import { connectTcp, fdWatcher, socketError, systemError } from "@ambit/linux/syscalls";
import { labError } from "../errors.ts";
import { netnsPath } from "./ip-batch.ts";

export interface DialTarget {
  /** Name of the namespace in /run/netns. */
  readonly netns: string;
  readonly ip: string;
  readonly port: number;
}

const DEFAULT_TIMEOUT_MS = 5_000;

/** A connected socket. @throws LINUX_SYSTEM_CALL_FAILED when it is refused; LAB_TIMED_OUT; LINUX_NETNS_INVALID */
export async function dial({ netns, ip, port }: DialTarget, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<Socket> {
  const opened = openNetns(netnsPath(netns));
  let fd: number;
  try {
    fd = connectTcp({ netns: opened, remote: { ip: address(ip), port } });
  } finally {
    opened.close();
  }
  const stop = new AbortController();
  try {
    const decided = await Promise.race([
      fdWatcher()
        .ready(fd, "writable")
        .then(() => true),
      sleep(timeoutMs, false, { signal: stop.signal }),
    ]);
    if (!decided) throw labError("LAB_TIMED_OUT", `No connection to ${ip} port ${port} within ${timeoutMs} ms`);
    const errno = socketError(fd);
    if (errno !== 0) throw systemError(`connect to ${ip} port ${port}`, errno);
    fdWatcher().forget(fd);
    return new Socket({ fd });
  } catch (error) {
    fdWatcher().forget(fd);
    closeSync(fd);
    throw error;
  } finally {
    stop.abort();
  }
}

function address(ip: string): IpAddress {
  const parsed = parseIp(ip);
  if (parsed === undefined) throw new TypeError(`${ip} is no IP address`);
  return parsed;
}
