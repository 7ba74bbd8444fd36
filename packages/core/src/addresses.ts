// IP addresses, socket addresses and CIDR blocks as values.

/** Canonical text form; IPv4-mapped IPv6 addresses are folded to IPv4, IPv6 is compressed lower case. */
export type IpAddress = string & { readonly __brand: "IpAddress" };

export interface SocketAddress {
  readonly ip: IpAddress;
  readonly port: number;
}

/** A block of addresses. `length` counts bits of the address's own family. */
export interface Cidr {
  readonly address: IpAddress;
  readonly length: number;
}

/** 4 or 16 bytes in network order to the canonical address; undefined for any other length. */
export function ipFromBytes(bytes: Uint8Array): IpAddress | undefined {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as IpAddress;
  if (bytes.length !== 16) return undefined;
  if (isV4Mapped(bytes)) return ipFromBytes(bytes.subarray(12));
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  return compressGroups(groups) as IpAddress;
}

/** Text to the canonical address; undefined when the text is not an address (zones and ports are refused). */
export function parseIp(text: string): IpAddress | undefined {
  const bytes = text.includes(":") ? parseV6(text) : parseV4(text);
  return bytes === undefined ? undefined : ipFromBytes(bytes);
}

/** Network-order bytes, 4 or 16 of them. */
export function ipToBytes(ip: IpAddress): Uint8Array {
  const bytes = ip.includes(":") ? parseV6(ip) : parseV4(ip);
  if (bytes === undefined) throw new RangeError(`Not an IP address: ${ip}`);
  return bytes;
}

export function ipFamily(ip: IpAddress): 4 | 6 {
  return ip.includes(":") ? 6 : 4;
}

export function isLoopback(ip: IpAddress): boolean {
  return ip === "::1" || ip.startsWith("127.");
}

/** `1.2.3.4:80` or `[::1]:80`. */
export function formatSocketAddress(address: SocketAddress): string {
  return address.ip.includes(":") ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`;
}

/** The inverse of formatSocketAddress; undefined for host names, missing or out-of-range ports. */
export function parseSocketAddress(text: string): SocketAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const ip = parseIp(match[1] ?? match[2] ?? "");
  const port = Number(match[3]);
  return ip === undefined || port > 65535 ? undefined : { ip, port };
}

/**
 * `10.0.0.0/8`, or a bare address as a block of one; undefined when either part is malformed.
 * A block of IPv4-mapped addresses becomes the IPv4 block; one that reaches beyond them is refused.
 */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const bits = ipFamily(address) === 4 ? 32 : 128;
  if (slash < 0) return { address, length: bits };
  const lengthText = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(lengthText)) return undefined;
  const isMapped = bits === 32 && text.includes(":");
  const length = Number(lengthText) - (isMapped ? 96 : 0);
  return length >= 0 && length <= bits ? { address, length } : undefined;
}

export function formatCidr(cidr: Cidr): string {
  return `${cidr.address}/${cidr.length}`;
}

/** False when the families differ. */
export function cidrContains(cidr: Cidr, ip: IpAddress): boolean {
  if (ipFamily(cidr.address) !== ipFamily(ip)) return false;
  const block = ipToBytes(cidr.address);
  const bytes = ipToBytes(ip);
  const whole = cidr.length >> 3;
  for (let i = 0; i < whole; i++) if (block[i] !== bytes[i]) return false;
  const rest = cidr.length & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return ((block[whole] ?? 0) & mask) === ((bytes[whole] ?? 0) & mask);
}

function isV4Mapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

function parseV4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = parts[i] ?? "";
    // A leading zero is refused: some parsers read it as octal, so the text is ambiguous.
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    bytes[i] = Number(part);
  }
  return bytes;
}

function parseV6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = v6Groups(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? v6Groups(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const bytes = new Uint8Array(16);
  groups.forEach((group, i) => {
    bytes[2 * i] = group >> 8;
    bytes[2 * i + 1] = group & 0xff;
  });
  return bytes;
}

function v6Groups(text: string, mayEndInV4: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (part.includes(".")) {
      const v4 = mayEndInV4 && i === parts.length - 1 ? parseV4(part) : undefined;
      if (v4 === undefined) return undefined;
      groups.push(((v4[0] ?? 0) << 8) | (v4[1] ?? 0), ((v4[2] ?? 0) << 8) | (v4[3] ?? 0));
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else return undefined;
  }
  return groups;
}

/** RFC 5952: the longest run of two or more zero groups, the first of equals, becomes `::`. */
function compressGroups(groups: readonly number[]): string {
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let j = i;
    while (j < 8 && groups[j] === 0) j++;
    if (j - i > bestLength) {
      best = i;
      bestLength = j - i;
    }
    i = Math.max(i, j - 1);
  }
  const hex = groups.map((group) => group.toString(16));
  if (best < 0) return hex.join(":");
  return `${hex.slice(0, best).join(":")}::${hex.slice(best + bestLength).join(":")}`;
}
