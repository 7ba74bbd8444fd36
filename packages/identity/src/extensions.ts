// The certificate extensions we write and read.
import { ipToBytes, parseIp } from "@ambit/core";
import {
  type Asn1,
  bitString,
  boolean,
  children,
  content,
  fromDer,
  implicit,
  isContext,
  OID,
  octetString,
  oid,
  oidOf,
  sequence,
  toDer,
} from "./der.ts";

/** Tags of GeneralName (RFC 5280 4.2.1.6). */
const DNS_NAME = 2;
const URI_NAME = 6;
const IP_NAME = 7;

export interface AlternativeNames {
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ips?: readonly string[];
}

function extension(id: string, critical: boolean, value: Asn1): Asn1 {
  const body = octetString(toDer(value));
  return critical ? sequence(oid(id), boolean(true), body) : sequence(oid(id), body);
}

/** Critical, since our subjects are empty (RFC 5280 4.2.1.6). @throws RangeError for a text that is no address */
export function subjectAltName({ uris = [], dnsNames = [], ips = [] }: AlternativeNames): Asn1 {
  const names = [
    ...uris.map((uri) => implicit(URI_NAME, Buffer.from(uri, "latin1"))),
    ...dnsNames.map((name) => implicit(DNS_NAME, Buffer.from(name, "latin1"))),
    ...ips.map((text) => {
      const ip = parseIp(text);
      if (ip === undefined) throw new RangeError(`Not an IP address: ${text}`);
      return implicit(IP_NAME, ipToBytes(ip));
    }),
  ];
  return extension(OID.subjectAltName, true, sequence(...names));
}

/** keyCertSign and cRLSign for an authority, digitalSignature for everybody else. */
export function keyUsage(isCa: boolean): Asn1 {
  return extension(OID.keyUsage, true, isCa ? bitString(Buffer.from([0x06]), 1) : bitString(Buffer.from([0x80]), 7));
}

export function basicConstraints(isCa: boolean): Asn1 {
  return extension(OID.basicConstraints, true, isCa ? sequence(boolean(true)) : sequence());
}

export function extendedKeyUsage(): Asn1 {
  return extension(OID.extendedKeyUsage, false, sequence(oid(OID.serverAuth), oid(OID.clientAuth)));
}

export function subjectKeyIdentifier(keyId: Uint8Array): Asn1 {
  return extension(OID.subjectKeyIdentifier, false, octetString(keyId));
}

export function authorityKeyIdentifier(keyId: Uint8Array): Asn1 {
  return extension(OID.authorityKeyIdentifier, false, sequence(implicit(0, keyId)));
}

/** URI names of the subjectAltName among these extensions. */
export function urisOf(extensions: Asn1 | undefined): string[] {
  for (const item of children(extensions)) {
    const parts = children(item);
    if (oidOf(parts[0]) !== OID.subjectAltName) continue;
    const names = children(fromDer(content(parts.at(-1))));
    return names.filter((name) => isContext(name, URI_NAME)).map((name) => content(name).toString("latin1"));
  }
  return [];
}
