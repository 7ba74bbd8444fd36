// The services of the mesh by key, by virtual address, by address block and by hostname.
import {
  type IpAddress,
  ipFamily,
  ipFromBytes,
  ipToBytes,
  type NamespacedHostname,
  type NetworkId,
  namespacedHostname,
  type Service,
} from "@ambit/core";
import { byText, MultiIndex } from "./multi-index.ts";

const byKey = byText((service: Service) => keyOfService(service));

export class ServiceStore {
  readonly #byKey = new Map<NamespacedHostname, Service>();
  readonly #byAddress = new MultiIndex<string, NamespacedHostname, Service>(byKey);
  readonly #byHostname = new MultiIndex<string, NamespacedHostname, Service>(byKey);
  readonly #byBlock = new MultiIndex<string, NamespacedHostname, Service>(byKey);
  /** Which block lengths are in use, so that a look-up tries only those: `network/family` to length to number of blocks. */
  readonly #blockLengths = new Map<string, Map<number, number>>();

  get(key: NamespacedHostname): Service | undefined {
    return this.#byKey.get(key);
  }

  get size(): number {
    return this.#byKey.size;
  }

  all(): IterableIterator<Service> {
    return this.#byKey.values();
  }

  byAddress(network: NetworkId, ip: IpAddress): readonly Service[] {
    return this.#byAddress.get(`${network}/${ip}`);
  }

  byHostname(hostname: string): readonly Service[] {
    return this.#byHostname.get(hostname.toLowerCase());
  }

  /** Longest block first; each service once. */
  byBlock(network: NetworkId, ip: IpAddress): readonly Service[] {
    const lengths = this.#blockLengths.get(`${network}/${ipFamily(ip)}`);
    if (lengths === undefined) return [];
    const found = new Set<Service>();
    for (const length of [...lengths.keys()].sort((a, b) => b - a)) {
      for (const service of this.#byBlock.get(blockKey(network, ip, length))) found.add(service);
    }
    return [...found];
  }

  set(service: Service): void {
    const key = keyOfService(service);
    const before = this.#byKey.get(key);
    if (before !== undefined) this.#unindex(key, before);
    this.#byKey.set(key, service);
    this.#byHostname.set(service.hostname.toLowerCase(), key, service);
    for (const { network, ip, length } of service.addresses) {
      if (length === undefined) this.#byAddress.set(`${network}/${ip}`, key, service);
      else {
        this.#byBlock.set(blockKey(network, ip, length), key, service);
        this.#countBlocks(network, ip, length, 1);
      }
    }
  }

  /** True when there was such a service. */
  delete(key: NamespacedHostname): boolean {
    const service = this.#byKey.get(key);
    if (service === undefined) return false;
    this.#unindex(key, service);
    return this.#byKey.delete(key);
  }

  #unindex(key: NamespacedHostname, service: Service): void {
    this.#byHostname.delete(service.hostname.toLowerCase(), key);
    for (const { network, ip, length } of service.addresses) {
      if (length === undefined) this.#byAddress.delete(`${network}/${ip}`, key);
      else {
        this.#byBlock.delete(blockKey(network, ip, length), key);
        this.#countBlocks(network, ip, length, -1);
      }
    }
  }

  #countBlocks(network: NetworkId, ip: IpAddress, length: number, by: number): void {
    const place = `${network}/${ipFamily(ip)}`;
    const lengths = this.#blockLengths.get(place) ?? new Map<number, number>();
    const count = (lengths.get(length) ?? 0) + by;
    if (count > 0) lengths.set(length, count);
    else lengths.delete(length);
    this.#blockLengths.set(place, lengths);
  }
}

export function keyOfService(service: Service): NamespacedHostname {
  return namespacedHostname(service.namespace, service.hostname);
}

/** The block of `length` bits that `ip` lies in. */
function blockKey(network: NetworkId, ip: IpAddress, length: number): string {
  const bytes = ipToBytes(ip);
  for (let i = 0; i < bytes.length; i++) {
    const kept = Math.min(Math.max(length - 8 * i, 0), 8);
    bytes[i] = (bytes[i] ?? 0) & (0xff << (8 - kept)) & 0xff;
  }
  return `${network}/${bytes.length === 4 ? "" : "v6 "}${ipFromBytes(bytes)}/${length}`;
}
