// A certificate authority for tests, without any program: P-256 keys from node:crypto and just enough DER.
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** PEM texts in the shape that `Engine.credentials` takes. */
export interface TestCredentials {
  /** Leaf first. */
  readonly certChain: string;
  readonly privateKey: string;
  readonly roots: string;
}

export interface TestCertificateOptions {
  /** URI subject alternative names, in order; usually one SPIFFE ID. */
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  /** Default: one hour ago. */
  readonly notBeforeMs?: number;
  /** Default: in one day. */
  readonly notAfterMs?: number;
  /** Default: both. */
  readonly usages?: readonly ("clientAuth" | "serverAuth")[];
}

export interface TestAuthority {
  readonly rootPem: string;
  issue(options: TestCertificateOptions): TestCredentials;
}

const HOUR_MS = 3_600_000;

// Object identifiers, already encoded (RFC 5280, RFC 5480, RFC 5758).
const OID = {
  ecdsaWithSha256: "06082a8648ce3d040302",
  commonName: "0603550403",
  basicConstraints: "0603551d13",
  keyUsage: "0603551d0f",
  extKeyUsage: "0603551d25",
  subjectAltName: "0603551d11",
  subjectKeyId: "0603551d0e",
  authorityKeyId: "0603551d23",
  serverAuth: "06082b06010505070301",
  clientAuth: "06082b06010505070302",
} as const;

/** A new root. Certificates of two authorities do not trust each other. */
export function createTestAuthority(name = "ambit test root"): TestAuthority {
  const keys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const now = Date.now();
  const rootPem = pem(
    "CERTIFICATE",
    certificate({
      subject: name,
      issuer: name,
      subjectKey: keys.publicKey,
      issuerKey: keys,
      notBeforeMs: now - 2 * HOUR_MS,
      notAfterMs: now + 10 * 365 * 24 * HOUR_MS,
      extensions: [
        extension(OID.basicConstraints, true, der(0x30, der(0x01, Buffer.from([0xff])))),
        // keyCertSign and cRLSign
        extension(OID.keyUsage, true, der(0x03, Buffer.from([1, 0x06]))),
      ],
    }),
  );
  return {
    rootPem,
    issue(options) {
      const leaf = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
      const usages = options.usages ?? ["clientAuth", "serverAuth"];
      const names = [
        ...(options.uris ?? []).map((uri) => der(0x86, Buffer.from(uri, "latin1"))),
        ...(options.dnsNames ?? []).map((dns) => der(0x82, Buffer.from(dns, "latin1"))),
      ];
      const extensions = [
        // digitalSignature
        extension(OID.keyUsage, true, der(0x03, Buffer.from([7, 0x80]))),
        extension(OID.extKeyUsage, false, der(0x30, ...usages.map((usage) => oid(OID[usage])))),
        extension(OID.basicConstraints, true, der(0x30)),
      ];
      // Critical, as the subject is empty (RFC 5280 section 4.2.1.6).
      if (names.length > 0) extensions.push(extension(OID.subjectAltName, true, der(0x30, ...names)));
      const certChain = pem(
        "CERTIFICATE",
        certificate({
          subject: undefined,
          issuer: name,
          subjectKey: leaf.publicKey,
          issuerKey: keys,
          notBeforeMs: options.notBeforeMs ?? Date.now() - HOUR_MS,
          notAfterMs: options.notAfterMs ?? Date.now() + 24 * HOUR_MS,
          extensions,
        }),
      );
      return { certChain, privateKey: leaf.privateKey.export({ type: "pkcs8", format: "pem" }), roots: rootPem };
    },
  };
}

/** One authority and a certificate for each SPIFFE ID, in the same order. */
export function issueTestCertificates(...spiffeIds: readonly string[]): readonly TestCredentials[] {
  const authority = createTestAuthority();
  return spiffeIds.map((uri) => authority.issue({ uris: [uri] }));
}

interface CertificateFields {
  readonly subject: string | undefined;
  readonly issuer: string;
  readonly subjectKey: KeyObject;
  readonly issuerKey: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly extensions: readonly Buffer[];
}

/** RFC 5280 section 4.1, version 3. */
function certificate(fields: CertificateFields): Buffer {
  const algorithm = der(0x30, oid(OID.ecdsaWithSha256));
  const serial = randomBytes(16);
  // Positive and without a leading zero.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const extensions = [
    ...fields.extensions,
    extension(OID.subjectKeyId, false, der(0x04, keyId(fields.subjectKey))),
    extension(OID.authorityKeyId, false, der(0x30, der(0x80, keyId(fields.issuerKey.publicKey)))),
  ];
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    distinguishedName(fields.issuer),
    der(0x30, time(fields.notBeforeMs), time(fields.notAfterMs)),
    distinguishedName(fields.subject),
    fields.subjectKey.export({ type: "spki", format: "der" }),
    der(0xa3, der(0x30, ...extensions)),
  );
  const signature = sign("sha256", body, fields.issuerKey.privateKey);
  return der(0x30, body, algorithm, der(0x03, Buffer.from([0]), signature));
}

function distinguishedName(commonName: string | undefined): Buffer {
  if (commonName === undefined) return der(0x30);
  return der(0x30, der(0x31, der(0x30, oid(OID.commonName), der(0x0c, Buffer.from(commonName)))));
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [der(0x01, Buffer.from([0xff]))] : [];
  return der(0x30, oid(id), ...flag, der(0x04, value));
}

function keyId(key: KeyObject): Buffer {
  return createHash("sha1")
    .update(key.export({ type: "spki", format: "der" }))
    .digest();
}

/** GeneralizedTime; UTCTime before 2050, as RFC 5280 section 4.1.2.5 asks. */
function time(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;
  return text < "2050" ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text));
}

function oid(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length = body.length;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), body]);
  if (length < 0x100) return Buffer.concat([Buffer.from([tag, 0x81, length]), body]);
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), body]);
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
