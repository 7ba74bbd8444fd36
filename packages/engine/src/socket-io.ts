// Reading and writing sockets; what the kernel answers as one number instead of errno beside -1.
import { bindForeign, EAGAIN, EINTR, lastErrno, libc, spliceBytes } from "@ambit/linux/syscalls";
import type { Slab } from "./slab.ts";

/** The kernel would have to wait. */
export const WOULD_BLOCK = -1;

const MSG_NOSIGNAL = 0x4000;

// Unlike an address, an argument of this type keeps its buffer alive during the call; it is for memory that is no slab.
const binding = bindForeign<{ send(fd: number, bytes: Uint8Array, length: number, flags: number): number }>([
  ["int64_t send(int, const uint8_t *, uint64_t, int)", "send(2)"],
]);
const direct = binding.functions;
export const missingSocketSymbols = binding.missing;

/** Bytes read, 0 at the end, WOULD_BLOCK, or below that -errno - 1. */
export function readSocket(fd: number, slab: Slab, offset: number, length: number): number {
  const count = libc.read(fd, slab.address + offset, length);
  return count >= 0 ? count : failure(lastErrno());
}

/** Bytes written, WOULD_BLOCK, or below that -errno - 1. */
export function writeSocket(fd: number, slab: Slab, offset: number, length: number): number {
  const count = libc.write(fd, slab.address + offset, length);
  return count >= 0 ? count : failure(lastErrno());
}

export function writeSocketBytes(fd: number, bytes: Uint8Array): number {
  const count = direct.send(fd, bytes, bytes.length, MSG_NOSIGNAL);
  return count >= 0 ? count : failure(lastErrno());
}

/** As `writeSocket`, from memory of OpenSSL. */
export function writeSocketAddress(fd: number, address: number, length: number): number {
  const count = libc.write(fd, address, length);
  return count >= 0 ? count : failure(lastErrno());
}

/** Moves bytes between a socket and a pipe inside the kernel; results as of `readSocket`. */
export function spliceSocket(fromFd: number, toFd: number, length: number): number {
  const count = spliceBytes(fromFd, toFd, length);
  return count >= 0 ? count : failure(lastErrno());
}

/** errno in a failed result. */
export function failedErrno(result: number): number {
  return -result - 1;
}

function failure(errno: number): number {
  return errno === EAGAIN || errno === EINTR ? WOULD_BLOCK : -errno - 1;
}
