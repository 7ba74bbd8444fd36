// A counter in the kernel that wakes whoever waits for it: eventfd(2).
import { checked, libc } from "./libc.ts";
import { allocPinned } from "./pinned.ts";

const EFD_NONBLOCK_CLOEXEC = 0o2004000;

const one = allocPinned(8);
one.view.setUint32(0, 1, true);
const sink = allocPinned(8);

/** Non-blocking; may be written by any thread of the process. */
export function openEventFd(): number {
  return checked(libc.eventfd(0, EFD_NONBLOCK_CLOEXEC), "eventfd");
}

export function wakeEventFd(fd: number): void {
  libc.write(fd, one.address, 8);
}

export function clearEventFd(fd: number): void {
  libc.read(fd, sink.address, 8);
}
