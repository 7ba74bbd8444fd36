// Memory that C sees: allocated here, its address taken once here, and kept as long as the thread lives.
import koffi from "koffi";

/** `address` is where `bytes` begins; valid until the thread ends. */
export interface Pinned {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly address: number;
}

// An address keeps nothing alive: without this list the collector frees memory that the kernel or OpenSSL still writes to.
const registry: Pinned[] = [];

/** Zeroed memory. Never freed: allocate at start or pool what is given back. */
export function allocPinned(length: number): Pinned {
  const buffer = new ArrayBuffer(length);
  const bytes = new Uint8Array(buffer);
  const pinned: Pinned = { bytes, view: new DataView(buffer), address: Number(koffi.address(bytes)) };
  registry.push(pinned);
  return pinned;
}

/** Bytes allocated on this thread so far. */
export function pinnedBytes(): number {
  return registry.reduce((sum, pinned) => sum + pinned.bytes.length, 0);
}

/** A copy of memory that C owns, for example a string of a certificate. */
export function copyFromC(address: number, length: number): Uint8Array {
  return length === 0 ? new Uint8Array(0) : new Uint8Array(koffi.view(BigInt(address), length).slice(0));
}

/** A pointer-sized number stored by C. User-space addresses have at most 47 bits, so a double holds them. */
export function readPointer(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 0x1_0000_0000;
}

export function writePointer(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % 0x1_0000_0000, true);
  view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}
