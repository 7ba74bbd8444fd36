// Frames as they pass a device: packet(7) sockets, made inside a given network namespace.
//
//   const capture = openCapture({ netns, device: "eth0" });
//   ...                                  // frames are taken off the kernel's queue as they come
//   for (const { bytes, atMs } of capture.read()) ...
//   capture.dropped                      // nothing can be said of these
//   capture.close();
//
// For threads that run Node's event loop, as fd-channel.ts.
import { MeshError } from "@ambit/core";
import { fdWatcher } from "./fd-watcher.ts";
import { lastErrno } from "./foreign.ts";
import { checked, EAGAIN, EINTR, libc, systemError } from "./libc.ts";
import { type Netns, runInNetns } from "./netns.ts";
import { allocPinned, writePointer } from "./pinned.ts";
import { OPTION, orClose, SOL_SOCKET, setOption } from "./sockets.ts";

export interface CaptureOptions {
  readonly netns: Netns | undefined;
  /** Every device of the namespace when absent; a packet that passes two of them is then seen twice. */
  readonly device?: string | undefined;
  /** Frames beyond it, counted from the last `read()`, are dropped. Default 64 MiB. */
  readonly maxBytes?: number;
}

export interface CapturedPacket {
  /** From the Ethernet header on. */
  readonly bytes: Uint8Array;
  /** When the kernel saw it. */
  readonly atMs: number;
}

export interface Capture {
  /** Everything that passed since the last call. @throws LINUX_SYSTEM_CALL_FAILED when the device is gone */
  read(): CapturedPacket[];
  /** Frames that passed and were lost or cut, so far. */
  readonly dropped: number;
  close(): void;
}

const AF_PACKET = 17;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0o2004000;
const ETH_P_ALL = 3;
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const SO_RCVBUFFORCE = 33;
const SO_TIMESTAMPNS = 35;
const SIOCGIFINDEX = 0x8933;
const SIOCGIFHWADDR = 0x8927;
const MSG_TRUNC = 0x20;
const ARPHRD_ETHER = 1;
const ARPHRD_LOOPBACK = 772;

const RECEIVE_BUFFER_BYTES = 32 * 1024 * 1024;
const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;
/** A packet that is cut into segments by the device only may have 64 KiB, four times as much where the system allows it. */
const FRAME_BYTES = 256 * 1024 + 64;
/** One turn of the event loop takes no more than this many. */
const FRAMES_PER_TURN = 512;

const INTERFACE_NAME_BYTES = 16;
const SOCKADDR_LL_BYTES = 20;
const CMSG_HEADER_BYTES = 16;
const CONTROL_BYTES = 64;

const interfaceRequest = allocPinned(40);
const linkAddress = allocPinned(SOCKADDR_LL_BYTES);
const statistics = allocPinned(8);
const statisticsLength = allocPinned(4);

// struct msghdr with one vector, cmsg(3).
const message = allocPinned(56);
const vector = allocPinned(16);
const control = allocPinned(CONTROL_BYTES);
const payload = allocPinned(FRAME_BYTES);
writePointer(message.view, 0, linkAddress.address);
writePointer(message.view, 16, vector.address);
writePointer(message.view, 24, 1);
writePointer(message.view, 32, control.address);
writePointer(vector.view, 0, payload.address);
writePointer(vector.view, 8, FRAME_BYTES);

/** Frames that pass from now on. Needs CAP_NET_RAW. @throws LINUX_SYSTEM_CALL_FAILED, LINUX_DEVICE_UNSUPPORTED */
export function openCapture({ netns, device, maxBytes = DEFAULT_MAX_BYTES }: CaptureOptions): Capture {
  return runInNetns(netns, () => {
    // Protocol 0 receives nothing: what other devices carry must not come in before the socket is bound.
    const fd = checked(libc.socket(AF_PACKET, SOCK_RAW_NONBLOCK_CLOEXEC, 0), "socket(AF_PACKET)");
    return orClose(fd, () => {
      setReceiveBuffer(fd);
      setOption(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
      linkAddress.bytes.fill(0);
      linkAddress.view.setUint16(0, AF_PACKET, true);
      linkAddress.view.setUint16(2, ETH_P_ALL, false);
      linkAddress.view.setInt32(4, device === undefined ? 0 : deviceIndex(fd, device), true);
      checked(libc.bind(fd, linkAddress.address, SOCKADDR_LL_BYTES), `bind to device ${device ?? "any"}`);
      return new PacketCapture(fd, maxBytes);
    });
  });
}

class PacketCapture implements Capture {
  readonly #fd: number;
  readonly #maxBytes: number;
  #packets: CapturedPacket[] = [];
  #bytes = 0;
  #dropped = 0;
  #isOpen = true;
  #failure: MeshError | undefined;

  constructor(fd: number, maxBytes: number) {
    this.#fd = fd;
    this.#maxBytes = maxBytes;
    void this.#pump();
  }

  get dropped(): number {
    if (this.#isOpen) this.#countKernelDrops();
    return this.#dropped;
  }

  read(): CapturedPacket[] {
    while (this.#isOpen && this.#failure === undefined && this.#receive());
    if (this.#failure !== undefined) throw this.#failure;
    const packets = this.#packets;
    this.#packets = [];
    this.#bytes = 0;
    return packets;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#countKernelDrops();
    this.#isOpen = false;
    fdWatcher().forget(this.#fd);
    libc.close(this.#fd);
  }

  async #pump(): Promise<void> {
    while (this.#isOpen && this.#failure === undefined) {
      await fdWatcher().ready(this.#fd, "readable");
      for (let i = 0; i < FRAMES_PER_TURN && this.#isOpen && this.#receive(); i++);
    }
  }

  /** False when nothing waits, or nothing ever will. */
  #receive(): boolean {
    writePointer(message.view, 8, SOCKADDR_LL_BYTES);
    writePointer(message.view, 40, CONTROL_BYTES);
    const length = libc.recvmsg(this.#fd, message.address, 0);
    if (length < 0) {
      const errno = lastErrno();
      if (errno === EINTR) return true;
      if (errno !== EAGAIN) this.#failure ??= systemError("Cannot capture any longer", errno);
      return false;
    }
    const isCut = (message.view.getUint32(48, true) & MSG_TRUNC) !== 0;
    const isOverFull = this.#bytes + length > this.#maxBytes;
    if (isCut || isOverFull || !isEthernet(linkAddress.view.getUint16(8, true))) this.#dropped++;
    if (isOverFull) return true;
    this.#bytes += length;
    this.#packets.push({ bytes: payload.bytes.slice(0, length), atMs: timestamp() });
    return true;
  }

  /** Reading resets the kernel's counters. */
  #countKernelDrops(): void {
    statisticsLength.view.setUint32(0, 8, true);
    const { address } = statistics;
    checked(
      libc.getsockopt(this.#fd, SOL_PACKET, PACKET_STATISTICS, address, statisticsLength.address),
      "getsockopt(PACKET_STATISTICS)",
    );
    this.#dropped += statistics.view.getUint32(4, true);
  }
}

/** Beyond the system's limit where the caller may; within it in a user namespace of a normal user. What is lost is counted. */
function setReceiveBuffer(fd: number): void {
  try {
    setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
  } catch (error) {
    if (!(error instanceof MeshError) || error.details["errno"] !== "EPERM") throw error;
    setOption(fd, SOL_SOCKET, OPTION.receiveBuffer, RECEIVE_BUFFER_BYTES);
  }
}

/** Of the last message: SCM_TIMESTAMPNS, the only control message that is asked for. */
function timestamp(): number {
  const { view } = control;
  return Number(view.getBigInt64(CMSG_HEADER_BYTES, true)) * 1000 + Number(view.getBigInt64(CMSG_HEADER_BYTES + 8, true)) / 1e6;
}

/** netdevice(7). */
function deviceIndex(fd: number, device: string): number {
  const name = new TextEncoder().encode(device);
  const what = `Cannot capture on device ${device}`;
  if (name.length === 0 || name.length >= INTERFACE_NAME_BYTES) {
    throw new MeshError("LINUX_DEVICE_UNSUPPORTED", `${what}: no device has a name of ${name.length} bytes`);
  }
  interfaceRequest.bytes.fill(0);
  interfaceRequest.bytes.set(name);
  checked(libc.ioctl(fd, SIOCGIFHWADDR, interfaceRequest.address), what);
  const type = interfaceRequest.view.getUint16(INTERFACE_NAME_BYTES, true);
  if (!isEthernet(type)) {
    throw new MeshError(
      "LINUX_DEVICE_UNSUPPORTED",
      `${what}: its frames are not Ethernet's (type ${type}); capture on a veth or bridge`,
    );
  }
  checked(libc.ioctl(fd, SIOCGIFINDEX, interfaceRequest.address), what);
  return interfaceRequest.view.getInt32(INTERFACE_NAME_BYTES, true);
}

function isEthernet(type: number): boolean {
  return type === ARPHRD_ETHER || type === ARPHRD_LOOPBACK;
}
