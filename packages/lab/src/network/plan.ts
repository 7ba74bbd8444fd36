// The lab's addresses: machines on one wire, a range of pods behind each node, Services and cluster DNS.
import type { IpFamily } from "@ambit/linux";

export type PerFamily<T> = Readonly<Record<IpFamily, T>>;
export const FAMILIES: readonly IpFamily[] = [4, 6];

/** A machine on the wire; its name is its network namespace's name. */
export interface Machine {
  readonly name: string;
  readonly ips: PerFamily<string>;
}

export interface LabNode extends Machine {
  readonly podRange: PerFamily<string>;
  /** The node's own address in its range: where pods send everything. */
  readonly gateway: PerFamily<string>;
  /** The n-th pod's addresses. */
  podIps(number: number): PerFamily<string>;
}

export const WIRE_PREFIX: PerFamily<number> = { 4: 24, 6: 64 };
/** The namespace that the lab itself runs in is on the wire as well. */
export const OWN_IPS: PerFamily<string> = { 4: "172.18.0.1", 6: "fd00:172:18::1" };
export const CONTROL_PLANE: Machine = { name: "control-plane", ips: { 4: "172.18.0.2", 6: "fd00:172:18::2" } };
export const SERVICE_RANGES: PerFamily<string> = { 4: "10.96.0.0/16", 6: "fd00:10:96::/112" };
export const DNS_SERVICE_IPS: PerFamily<string> = { 4: "10.96.0.10", 6: "fd00:10:96::10" };
export const CLUSTER_DOMAIN = "cluster.local";
export const SYSTEM_NAMESPACE = "ambit-system";

const FIRST_POD = 2;
const LAST_POD = 254;
const FIRST_SERVICE = 11;
const LAST_SERVICE = 65_000;

export function planNodes(names: readonly string[]): readonly LabNode[] {
  return names.map((name, i) => {
    const range = i + 1;
    const podIps = (number: number) => ({ 4: `10.244.${range}.${number}`, 6: `fd00:10:244:${range}::${number.toString(16)}` });
    return {
      name,
      ips: { 4: `172.18.0.${i + 3}`, 6: `fd00:172:18::${i + 3}` },
      podRange: { 4: `10.244.${range}.0/24`, 6: `fd00:10:244:${range}::/64` },
      gateway: podIps(1),
      podIps,
    };
  });
}

/** The lowest pod number that is free; undefined when the range is used up. */
export function freePodNumber(used: ReadonlySet<number>): number | undefined {
  for (let number = FIRST_POD; number <= LAST_POD; number++) if (!used.has(number)) return number;
  return undefined;
}

/** The lowest Service addresses of which none is taken; undefined when there are none. */
export function freeServiceIps(used: ReadonlySet<string>): PerFamily<string> | undefined {
  for (let number = FIRST_SERVICE; number <= LAST_SERVICE; number++) {
    const ips = { 4: `10.96.${number >> 8}.${number & 255}`, 6: `fd00:10:96::${number.toString(16)}` };
    if (!used.has(ips[4]) && !used.has(ips[6])) return ips;
  }
  return undefined;
}
