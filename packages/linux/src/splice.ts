// Moving bytes from socket to socket inside the kernel: splice(2) through a pipe.
import { checked, libc } from "./libc.ts";
import { allocPinned } from "./pinned.ts";

const O_NONBLOCK_CLOEXEC = 0o2004000;
const F_SETPIPE_SZ = 1031;
const SPLICE_F_MOVE_NONBLOCK = 3;

const pair = allocPinned(8);

export interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
  readonly capacity: number;
}

/** A pipe of about `wantedBytes`; users without privilege get less when their share of pipe memory is used up. */
export function openPipe(wantedBytes: number): Pipe {
  checked(libc.pipe2(pair.address, O_NONBLOCK_CLOEXEC), "pipe2");
  const readFd = pair.view.getInt32(0, true);
  const writeFd = pair.view.getInt32(4, true);
  const capacity = libc.fcntl(writeFd, F_SETPIPE_SZ, wantedBytes);
  return { readFd, writeFd, capacity: capacity > 0 ? capacity : 65536 };
}

/** Bytes moved, 0 at the end of the input, -1 with errno. */
export function spliceBytes(fromFd: number, toFd: number, length: number): number {
  return libc.splice(fromFd, 0, toFd, 0, length, SPLICE_F_MOVE_NONBLOCK);
}
