// Virtual addresses for ServiceEntry hosts that have none, so that a client's resolver has something to answer.
import { type IpAddress, ipFromBytes, parseCidr, parseIp } from "@ambit/core";
import type { ServiceEntry } from "@ambit/kube";
import { AUTOALLOCATE } from "./labels.ts";

/** By `namespace/name/host`. */
export type AllocatedAddresses = ReadonlyMap<string, readonly IpAddress[]>;

/** 240.240.0.0/16 and 2001:2::/48, as Istio allocates from. @source istio pilot/pkg/controllers/ipallocate */
const V4_PREFIX = [240, 240] as const;
const V6_PREFIX = [0x20, 0x01, 0x00, 0x02] as const;
/** Neither the first nor the last address of the block. */
const SLOTS = 0xfffe;

/**
 * Each host gets the slot that its name hashes to, or the next free one; oldest entries choose first. The result depends on
 * nothing but the objects, so it survives restarts. Addresses in an entry's status, where Istio keeps its own choice, come first.
 */
export function allocateAddresses(entries: readonly ServiceEntry[]): AllocatedAddresses {
  const allocated = new Map<string, readonly IpAddress[]>();
  const used = new Set(entries.flatMap(takenAddresses));
  for (const entry of entries.toSorted(byAge)) {
    if (!needsAllocation(entry)) continue;
    for (const host of entry.spec.hosts) {
      if (statusAddresses(entry, host).length > 0) continue;
      const key = allocationKey(entry, host);
      const addresses = firstFree(hash(key), used);
      for (const address of addresses) used.add(address);
      if (addresses.length > 0) allocated.set(key, addresses);
    }
  }
  return allocated;
}

export function allocationKey({ metadata }: ServiceEntry, host: string): string {
  return `${metadata.namespace}/${metadata.name}/${host}`;
}

/** The addresses that the status has for one host; those without a host are for every host. */
export function statusAddresses({ status }: ServiceEntry, host: string): IpAddress[] {
  return (status?.addresses ?? [])
    .filter((address) => address.host === undefined || address.host === "" || address.host === host)
    .map(({ value }) => parseIp(value))
    .filter((ip) => ip !== undefined);
}

/** Pass-through entries are dialled by the address that the client had; explicit ones have their own. */
export function needsAllocation({ metadata, spec }: ServiceEntry): boolean {
  if (spec.resolution === "NONE" || (spec.addresses?.length ?? 0) > 0) return false;
  return metadata.labels[AUTOALLOCATE] !== "false";
}

function takenAddresses(entry: ServiceEntry): IpAddress[] {
  const explicit = (entry.spec.addresses ?? []).map((text) => parseCidr(text)?.address).filter((ip) => ip !== undefined);
  return [...explicit, ...entry.spec.hosts.flatMap((host) => statusAddresses(entry, host))];
}

function firstFree(start: number, used: ReadonlySet<string>): IpAddress[] {
  for (let i = 0; i < SLOTS; i++) {
    const slot = ((start + i) % SLOTS) + 1;
    const low = [slot >> 8, slot & 0xff];
    const v4 = ipFromBytes(Uint8Array.of(...V4_PREFIX, ...low));
    const v6 = ipFromBytes(Uint8Array.of(...V6_PREFIX, ...new Array<number>(10).fill(0), ...low));
    if (v4 !== undefined && v6 !== undefined && !used.has(v4) && !used.has(v6)) return [v4, v6];
  }
  return [];
}

function byAge(a: ServiceEntry, b: ServiceEntry): number {
  return ageKey(a) < ageKey(b) ? -1 : 1;
}

function ageKey({ metadata }: ServiceEntry): string {
  return `${metadata.creationTimestamp ?? ""}|${metadata.namespace}/${metadata.name}`;
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}
