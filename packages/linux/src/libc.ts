// The system calls we make, through the C library; each is declared once. Pointers are numbers taken from pinned memory.
import { constants } from "node:os";
import { MeshError } from "@ambit/core";
import { bindForeign, type ForeignTable, lastErrno } from "./foreign.ts";

const TABLE: ForeignTable = [
  ["int socket(int, int, int)", "socket(2)"],
  ["int bind(int, uint64_t, uint32_t)", "bind(2)"],
  ["int listen(int, int)", "listen(2)"],
  ["int accept4(int, uint64_t, uint64_t, int)", "accept4(2)"],
  ["int connect(int, uint64_t, uint32_t)", "connect(2)"],
  ["int setsockopt(int, int, int, uint64_t, uint32_t)", "setsockopt(2)"],
  ["int getsockopt(int, int, int, uint64_t, uint64_t)", "getsockopt(2)"],
  ["int getsockname(int, uint64_t, uint64_t)", "getsockname(2)"],
  ["int getpeername(int, uint64_t, uint64_t)", "getpeername(2)"],
  ["int64_t read(int, uint64_t, uint64_t)", "read(2)"],
  ["int64_t write(int, uint64_t, uint64_t)", "write(2)"],
  ["int64_t writev(int, uint64_t, int)", "writev(2)"],
  ["int64_t send(int, uint64_t, uint64_t, int)", "send(2)"],
  ["int64_t recvfrom(int, uint64_t, uint64_t, int, uint64_t, uint64_t)", "recvfrom(2)"],
  ["int64_t sendto(int, uint64_t, uint64_t, int, uint64_t, uint32_t)", "sendto(2)"],
  ["int64_t recvmsg(int, uint64_t, int)", "recvmsg(2)"],
  ["int64_t sendmsg(int, uint64_t, int)", "sendmsg(2)"],
  ["int64_t splice(int, uint64_t, int, uint64_t, uint64_t, uint32_t)", "splice(2)"],
  ["int pipe2(uint64_t, int)", "pipe2(2)"],
  ["int close(int)", "close(2)"],
  ["int shutdown(int, int)", "shutdown(2)"],
  ["int fcntl(int, int, int)", "fcntl(2)"],
  ["int ioctl(int, uint64_t, uint64_t)", "ioctl(2)"],
  ["int epoll_create1(int)", "epoll_create1(2)"],
  ["int epoll_ctl(int, int, int, uint64_t)", "epoll_ctl(2)"],
  ["int epoll_wait(int, uint64_t, int, int)", "epoll_wait(2)"],
  ["int eventfd(uint32_t, int)", "eventfd(2)"],
  ["int setns(int, int)", "setns(2)"],
  ["str strerror(int)", "strerror(3)"],
];

export interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: number, length: number): number;
  listen(fd: number, backlog: number): number;
  accept4(fd: number, address: number, lengthPointer: number, flags: number): number;
  connect(fd: number, address: number, length: number): number;
  setsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: number, lengthPointer: number): number;
  getsockname(fd: number, address: number, lengthPointer: number): number;
  getpeername(fd: number, address: number, lengthPointer: number): number;
  read(fd: number, buffer: number, length: number): number;
  write(fd: number, buffer: number, length: number): number;
  writev(fd: number, vector: number, count: number): number;
  send(fd: number, buffer: number, length: number, flags: number): number;
  recvfrom(fd: number, buffer: number, length: number, flags: number, address: number, lengthPointer: number): number;
  sendto(fd: number, buffer: number, length: number, flags: number, address: number, addressLength: number): number;
  recvmsg(fd: number, message: number, flags: number): number;
  sendmsg(fd: number, message: number, flags: number): number;
  splice(fdIn: number, offsetIn: number, fdOut: number, offsetOut: number, length: number, flags: number): number;
  pipe2(descriptors: number, flags: number): number;
  close(fd: number): number;
  shutdown(fd: number, how: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  ioctl(fd: number, request: number, argument: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epoll: number, operation: number, fd: number, event: number): number;
  epoll_wait(epoll: number, events: number, count: number, timeoutMs: number): number;
  eventfd(initial: number, flags: number): number;
  setns(fd: number, type: number): number;
  strerror(errno: number): string;
}

const binding = bindForeign<Libc>(TABLE);

export const libc: Libc = binding.functions;
export const missingLibcSymbols = binding.missing;

const NAMES = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]));

export const EAGAIN = constants.errno.EAGAIN;
export const EINTR = constants.errno.EINTR;
export const EINPROGRESS = constants.errno.EINPROGRESS;

/** `ECONNREFUSED`, or `E<number>` for one that Node does not name. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `E${errno}`;
}

/** As access lines print it: `Connection refused (os error 111)`. */
export function errnoText(errno: number): string {
  return `${libc.strerror(errno)} (os error ${errno})`;
}

/** A failed system call as an error; `what` says what was being done and to what. `details.errno` is the errno name. */
export function systemError(what: string, errno = lastErrno()): MeshError {
  return new MeshError("LINUX_SYSTEM_CALL_FAILED", `${what}: ${errnoText(errno)}`, { details: { errno: errnoName(errno) } });
}

/** The result of a call that reports failure as -1. @throws LINUX_SYSTEM_CALL_FAILED */
export function checked(result: number, what: string): number {
  if (result < 0) throw systemError(what);
  return result;
}
