// Addresses inside messages: bytes with a length that must make sense.
import { type Cidr, type IpAddress, ipFamily, ipFromBytes, ipToBytes, type NetworkAddress } from "@ambit/core";
import { create } from "@bufbuild/protobuf";
import { invalidField } from "./errors.ts";
import { type NetworkAddress as NetworkAddressMessage, NetworkAddressSchema } from "./gen/workload_pb.js";

/** @throws API_RESOURCE_INVALID unless there are 4 or 16 bytes */
export function decodeIp(path: string, bytes: Uint8Array): IpAddress {
  const ip = ipFromBytes(bytes);
  if (ip === undefined) throw invalidField(path, `an address has 4 or 16 bytes, not ${bytes.length}`);
  return ip;
}

/**
 * @throws API_RESOURCE_INVALID for a bad address or a prefix longer than it. Dropping such an entry would widen the policy
 * that holds it: an empty list matches everything.
 */
export function decodeCidr(path: string, bytes: Uint8Array, length: number): Cidr {
  const address = decodeIp(path, bytes);
  const mappedBits = bytes.length === 16 && ipFamily(address) === 4 ? 96 : 0;
  if (length > bytes.length * 8 || length < mappedBits) {
    throw invalidField(path, `prefix length ${length} does not fit an address of ${bytes.length} bytes`);
  }
  return { address, length: length - mappedBits };
}

export function decodeNetworkAddress(path: string, message: NetworkAddressMessage): NetworkAddress {
  return { network: message.network, ip: decodeIp(`${path}.address`, message.address) };
}

export function encodeNetworkAddress(address: NetworkAddress, length?: number): NetworkAddressMessage {
  const bytes = ipToBytes(address.ip);
  return create(NetworkAddressSchema, { network: address.network, address: bytes, ...(length === undefined ? {} : { length }) });
}
