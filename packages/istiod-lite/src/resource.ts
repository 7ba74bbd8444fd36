// One thing that discovery sends: its name, its bytes and their version.
import { createHash } from "node:crypto";
import { ADDRESS_TYPE_URL, type AddressResource, AUTHORIZATION_TYPE_URL, encodeAddress, encodeAuthorization } from "@ambit/api";
import { type Authorization, formatCidr, namespacedHostname, policyKey, type Service, type Workload } from "@ambit/core";

export type Resource =
  | (ResourceBytes & { readonly typeUrl: typeof ADDRESS_TYPE_URL; readonly value: AddressResource })
  | (ResourceBytes & { readonly typeUrl: typeof AUTHORIZATION_TYPE_URL; readonly value: Authorization });

interface ResourceBytes {
  readonly name: string;
  /** Equal for equal bytes, also after a restart: a proxy that comes back is sent only what differs. */
  readonly version: string;
  readonly bytes: Uint8Array;
  /** Other names to ask for it by: `network/ip`, and `network/ip/length` for a block. */
  readonly aliases: readonly string[];
}

export type ResourceTypeUrl = Resource["typeUrl"];

export function workloadResource(workload: Workload): Resource {
  // An address of the node belongs to all pods that share it.
  const aliases = workload.networkMode === "hostNetwork" ? [] : workload.addresses.map((ip) => `${workload.network}/${ip}`);
  return addressResource(workload.uid, { kind: "workload", workload }, aliases);
}

export function serviceResource(service: Service): Resource {
  const aliases = service.addresses.map(({ network, ip, length }) =>
    length === undefined ? `${network}/${ip}` : `${network}/${formatCidr({ address: ip, length })}`,
  );
  return addressResource(namespacedHostname(service.namespace, service.hostname), { kind: "service", service }, aliases);
}

export function authorizationResource(authorization: Authorization): Resource {
  const bytes = encodeAuthorization(authorization);
  const name = policyKey(authorization.namespace, authorization.name);
  return { typeUrl: AUTHORIZATION_TYPE_URL, name, bytes, version: versionOf(bytes), aliases: [], value: authorization };
}

function addressResource(name: string, value: AddressResource, aliases: readonly string[]): Resource {
  const bytes = encodeAddress(value);
  return { typeUrl: ADDRESS_TYPE_URL, name, bytes, version: versionOf(bytes), aliases, value };
}

function versionOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 16);
}
