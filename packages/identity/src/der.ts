// The DER that certificates and signing requests need, on node-forge's ASN.1.
import forge from "node-forge";

const { asn1 } = forge;
type Asn1 = forge.asn1.Asn1;
const { Class, Type } = asn1;

export type { Asn1 };

export const OID = {
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  commonName: "2.5.4.3",
  organization: "2.5.4.10",
  extensionRequest: "1.2.840.113549.1.9.14",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
} as const;

export function sequence(...children: readonly Asn1[]): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, [...children]);
}

export function set(...children: readonly Asn1[]): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.SET, true, [...children]);
}

export function oid(dotted: string): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.OID, false, asn1.oidToDer(dotted).getBytes());
}

export function boolean(value: boolean): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.BOOLEAN, false, value ? "\xff" : "\x00");
}

export function integer(bytes: Uint8Array): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.INTEGER, false, binary(bytes));
}

export function octetString(bytes: Uint8Array): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.OCTETSTRING, false, binary(bytes));
}

/** Whole bytes; `unusedBits` counts the bits at the end that mean nothing. */
export function bitString(bytes: Uint8Array, unusedBits = 0): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.BITSTRING, false, String.fromCharCode(unusedBits) + binary(bytes));
}

export function utf8(text: string): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.UTF8, false, forge.util.encodeUtf8(text));
}

/** UTCTime until 2049, GeneralizedTime after (RFC 5280 4.1.2.5). */
export function time(ms: number): Asn1 {
  const date = new Date(ms);
  return date.getUTCFullYear() < 2050
    ? asn1.create(Class.UNIVERSAL, Type.UTCTIME, false, asn1.dateToUtcTime(date) as unknown as string)
    : asn1.create(Class.UNIVERSAL, Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date) as unknown as string);
}

/** `[n]` around children. */
export function explicit(tag: number, ...children: readonly Asn1[]): Asn1 {
  return asn1.create(Class.CONTEXT_SPECIFIC, tag, true, [...children]);
}

/** `[n]` in place of a primitive's own tag. */
export function implicit(tag: number, bytes: Uint8Array): Asn1 {
  return asn1.create(Class.CONTEXT_SPECIFIC, tag, false, binary(bytes));
}

export function toDer(value: Asn1): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), "latin1");
}

/** @throws Error when the bytes are not one DER value */
export function fromDer(bytes: Uint8Array): Asn1 {
  // Without this option the parser looks inside bit strings and takes a signature apart where it happens to look like DER.
  const options = { strict: true, parseAllBytes: true, decodeBitStrings: false };
  return asn1.fromDer(binary(bytes), options as unknown as boolean);
}

/** The value's children; an empty list for a primitive. */
export function children(value: Asn1 | undefined): readonly Asn1[] {
  return value !== undefined && Array.isArray(value.value) ? value.value : [];
}

/** A primitive's content; empty for a constructed value. */
export function content(value: Asn1 | undefined): Buffer {
  return Buffer.from(value !== undefined && typeof value.value === "string" ? value.value : "", "latin1");
}

export function isContext(value: Asn1, tag: number): boolean {
  return value.tagClass === Class.CONTEXT_SPECIFIC && (value.type as number) === tag;
}

/** An object identifier in dotted form; empty when the value is none. */
export function oidOf(value: Asn1 | undefined): string {
  return value !== undefined && value.type === Type.OID && typeof value.value === "string" ? asn1.derToOid(value.value) : "";
}

export function pemOf(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** The contents of every block of that label, in order. */
export function pemBlocks(label: string, text: string): Buffer[] {
  const pattern = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`, "g");
  return [...text.matchAll(pattern)].map((match) => Buffer.from((match[1] ?? "").replaceAll(/\s/g, ""), "base64"));
}

function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
