// One packet with at most one descriptor: sendmsg(2) and recvmsg(2) with SCM_RIGHTS, cmsg(3).
import { MeshError } from "@ambit/core";
import { lastErrno } from "./foreign.ts";
import { EAGAIN, EINTR, errnoName, errnoText, libc } from "./libc.ts";
import { allocPinned, writePointer } from "./pinned.ts";
import { SOL_SOCKET } from "./sockets.ts";

/** @source ztunnel src/inpod/protocol.rs: messages are read into 1024 bytes */
export const MAX_PACKET_BYTES = 1024;

const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;

// Offsets in struct msghdr of 64-bit Linux.
const MSG_IOV = 16;
const MSG_IOVLEN = 24;
const MSG_CONTROL = 32;
const MSG_CONTROLLEN = 40;
const MSG_FLAGS = 48;
const CMSG_HEADER_BYTES = 16;
const CMSG_ONE_FD_BYTES = CMSG_HEADER_BYTES + 4;
const CMSG_ONE_FD_SPACE = 24;
/** Room for several descriptors, so that a packet with too many is seen as such and none of them leaks. */
const CONTROL_BYTES = 256;

const message = allocPinned(56);
const vector = allocPinned(16);
const control = allocPinned(CONTROL_BYTES);
const payload = allocPinned(MAX_PACKET_BYTES);
writePointer(message.view, MSG_IOV, vector.address);
writePointer(message.view, MSG_IOVLEN, 1);
writePointer(vector.view, 0, payload.address);

export interface RawPacket {
  readonly data: Uint8Array;
  readonly fd: number | undefined;
}

/** The next packet; "end" when the peer has closed, "wait" when there is none yet. @throws LINUX_FRAME_INVALID, LINUX_CHANNEL_FAILED */
export function receivePacket(socket: number): RawPacket | "end" | "wait" {
  writePointer(vector.view, 8, MAX_PACKET_BYTES);
  writePointer(message.view, MSG_CONTROL, control.address);
  writePointer(message.view, MSG_CONTROLLEN, CONTROL_BYTES);
  const length = libc.recvmsg(socket, message.address, MSG_CMSG_CLOEXEC);
  if (length < 0) {
    const errno = lastErrno();
    if (errno === EAGAIN || errno === EINTR) return "wait";
    if (errnoName(errno) === "ECONNRESET") return "end";
    throw new MeshError("LINUX_CHANNEL_FAILED", `Receive failed: ${errnoText(errno)}`, { details: { errno: errnoName(errno) } });
  }
  const flags = message.view.getUint32(MSG_FLAGS, true);
  const fds = receivedFds(message.view.getUint32(MSG_CONTROLLEN, true));
  if ((flags & (MSG_TRUNC | MSG_CTRUNC)) !== 0 || fds.length > 1) {
    for (const fd of fds) libc.close(fd);
    const what = (flags & MSG_TRUNC) !== 0 ? `is longer than ${MAX_PACKET_BYTES} bytes` : "carries more than one descriptor";
    throw new MeshError("LINUX_FRAME_INVALID", `A received packet ${what}`);
  }
  // Our protocols have no empty packets, so that an empty one without descriptors is the end.
  if (length === 0 && fds.length === 0) return "end";
  return { data: payload.bytes.slice(0, length), fd: fds[0] };
}

/** False when the peer's queue is full. @throws LINUX_FRAME_INVALID, LINUX_CHANNEL_FAILED */
export function sendPacket(socket: number, data: Uint8Array, fd: number | undefined): boolean {
  if (data.length === 0 || data.length > MAX_PACKET_BYTES) {
    throw new MeshError("LINUX_FRAME_INVALID", `A packet must have 1 to ${MAX_PACKET_BYTES} bytes, not ${data.length}`);
  }
  payload.bytes.set(data);
  writePointer(vector.view, 8, data.length);
  if (fd === undefined) {
    writePointer(message.view, MSG_CONTROL, 0);
    writePointer(message.view, MSG_CONTROLLEN, 0);
  } else {
    writePointer(message.view, MSG_CONTROL, control.address);
    writePointer(message.view, MSG_CONTROLLEN, CMSG_ONE_FD_SPACE);
    writePointer(control.view, 0, CMSG_ONE_FD_BYTES);
    control.view.setInt32(8, SOL_SOCKET, true);
    control.view.setInt32(12, SCM_RIGHTS, true);
    control.view.setInt32(CMSG_HEADER_BYTES, fd, true);
  }
  if (libc.sendmsg(socket, message.address, MSG_NOSIGNAL) >= 0) return true;
  const errno = lastErrno();
  if (errno === EAGAIN || errno === EINTR) return false;
  throw new MeshError("LINUX_CHANNEL_FAILED", `Send failed: ${errnoText(errno)}`, { details: { errno: errnoName(errno) } });
}

function receivedFds(controlLength: number): number[] {
  const fds: number[] = [];
  let offset = 0;
  while (offset + CMSG_HEADER_BYTES <= controlLength) {
    const length = control.view.getUint32(offset, true);
    if (length < CMSG_HEADER_BYTES) break;
    const isRights =
      control.view.getInt32(offset + 8, true) === SOL_SOCKET && control.view.getInt32(offset + 12, true) === SCM_RIGHTS;
    if (isRights) {
      for (let at = offset + CMSG_HEADER_BYTES; at + 4 <= offset + length; at += 4) fds.push(control.view.getInt32(at, true));
    }
    offset += (length + 7) & ~7;
  }
  return fds;
}
