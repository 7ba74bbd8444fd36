// Certificates: roots, intermediates and leafs, P-256 with SHA-256.
import { createHash, createPublicKey, type KeyObject, randomBytes, sign, X509Certificate } from "node:crypto";
import {
  type Asn1,
  bitString,
  children,
  content,
  explicit,
  fromDer,
  integer,
  OID,
  oid,
  pemOf,
  sequence,
  set,
  time,
  toDer,
  utf8,
} from "./der.ts";
import {
  type AlternativeNames,
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "./extensions.ts";

export interface CertificateTemplate {
  /** Organisation in the subject; empty subject when absent. */
  readonly organization?: string;
  readonly names?: AlternativeNames;
  readonly isCa: boolean;
  /** Milliseconds since the epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Who signs: a certificate with its key. */
export interface Issuer {
  readonly certificatePem: string;
  readonly privateKey: KeyObject;
}

/** A certificate for the key, signed by the issuer; its end is cut to the issuer's own. */
export function issueCertificate(template: CertificateTemplate, subjectKey: KeyObject, issuer: Issuer): string {
  const parent = new X509Certificate(issuer.certificatePem);
  const notAfterMs = Math.min(template.notAfterMs, Date.parse(parent.validTo));
  const subjectOfParent = subjectNameOf(parent.raw);
  return build({ ...template, notAfterMs }, subjectKey, subjectOfParent, keyIdOf(parent.publicKey), issuer.privateKey);
}

/** A root: signed by its own key. */
export function issueRoot(template: Omit<CertificateTemplate, "isCa">, publicKey: KeyObject, privateKey: KeyObject): string {
  return build({ ...template, isCa: true }, publicKey, nameOf(template.organization), keyIdOf(publicKey), privateKey);
}

function build(
  template: CertificateTemplate,
  subjectKey: KeyObject,
  issuerName: Asn1,
  issuerKeyId: Buffer,
  signingKey: KeyObject,
): string {
  const { names, isCa, organization, notBeforeMs, notAfterMs } = template;
  const extensions = [
    keyUsage(isCa),
    ...(isCa ? [] : [extendedKeyUsage()]),
    basicConstraints(isCa),
    subjectKeyIdentifier(keyIdOf(subjectKey)),
    authorityKeyIdentifier(issuerKeyId),
    ...(names === undefined ? [] : [subjectAltName(names)]),
  ];
  const algorithm = () => sequence(oid(OID.ecdsaWithSha256));
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(serialNumber()),
    algorithm(),
    issuerName,
    sequence(time(notBeforeMs), time(notAfterMs)),
    nameOf(organization),
    fromDer(subjectKey.export({ type: "spki", format: "der" })),
    explicit(3, sequence(...extensions)),
  );
  const signature = sign("sha256", toDer(body), signingKey);
  return pemOf("CERTIFICATE", toDer(sequence(body, algorithm(), bitString(signature))));
}

/** 16 random bytes, positive and without a leading zero byte (RFC 5280 4.1.2.2). */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes;
}

function nameOf(organization: string | undefined): Asn1 {
  return organization === undefined ? sequence() : sequence(set(sequence(oid(OID.organization), utf8(organization))));
}

function subjectNameOf(certificate: Buffer): Asn1 {
  const body = children(fromDer(certificate))[0];
  // version, serial, algorithm, issuer, validity, subject
  const subject = children(body)[5];
  if (subject === undefined) throw new TypeError("The issuer's certificate has no subject");
  return subject;
}

/** SHA-1 of the key's bits, as RFC 5280 4.2.1.2 suggests; a name, not a protection. */
function keyIdOf(key: KeyObject): Buffer {
  const spki = (key.type === "public" ? key : createPublicKey(key)).export({ type: "spki", format: "der" });
  const bits = content(children(fromDer(spki))[1]).subarray(1);
  return createHash("sha1").update(bits).digest();
}
