// What a certificate authority signs with, checked to be usable.
import { createPrivateKey, type KeyObject, type X509Certificate } from "node:crypto";
import { MeshError } from "@ambit/core";
import { certificatesOf } from "@ambit/identity";

export interface AuthorityMaterial {
  readonly certificate: X509Certificate;
  readonly privateKey: KeyObject;
  /** From the signing certificate up to below the root; empty when the root signs itself. */
  readonly intermediates: readonly string[];
  /** Roots to trust; that of the signing certificate first. */
  readonly roots: readonly X509Certificate[];
}

export interface AuthorityTexts {
  readonly certificate: string;
  readonly key: string;
  readonly chain: string | undefined;
  readonly roots: string;
}

/** @throws ISTIOD_CA_UNUSABLE saying which file is wrong and how */
export function checkMaterial(directory: string, texts: AuthorityTexts, nowMs: number): AuthorityMaterial {
  const unusable = (reason: string, cause?: unknown) =>
    new MeshError("ISTIOD_CA_UNUSABLE", `The certificate authority in ${directory} cannot be used: ${reason}`, { cause });
  const parse = <T>(file: string, action: () => T): T => {
    try {
      return action();
    } catch (cause) {
      throw unusable(`${file} does not parse: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
    }
  };
  const privateKey = parse("ca-key.pem", () => createPrivateKey(texts.key));
  const [certificate] = parse("ca-cert.pem", () => certificatesOf(texts.certificate));
  const chain = parse("cert-chain.pem", () => certificatesOf(texts.chain ?? texts.certificate));
  const roots = parse("root-cert.pem", () => certificatesOf(texts.roots));
  if (certificate === undefined) throw unusable("ca-cert.pem holds no certificate");
  if (privateKey.asymmetricKeyType !== "ec")
    throw unusable("ca-key.pem is not an elliptic-curve key; this authority signs with ECDSA only");
  if (!certificate.ca) throw unusable("ca-cert.pem is not the certificate of an authority");
  if (!certificate.checkPrivateKey(privateKey)) throw unusable("ca-key.pem is not the key of ca-cert.pem");
  if (Date.parse(certificate.validTo) <= nowMs) throw unusable(`ca-cert.pem expired at ${certificate.validTo}`);
  const intermediates = chain.filter((item) => !isSelfSigned(item));
  const top = intermediates.at(-1) ?? certificate;
  const signing = roots.find((root) => top.checkIssued(root) && top.verify(root.publicKey));
  if (signing === undefined) throw unusable("the chain of ca-cert.pem does not end at a root of root-cert.pem");
  return {
    certificate,
    privateKey,
    intermediates: intermediates.map((item) => item.toString()),
    roots: [signing, ...roots.filter((root) => root !== signing)],
  };
}

function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

export function notAfterMs(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo);
}

export function notBeforeMs(certificate: X509Certificate): number {
  return Date.parse(certificate.validFrom);
}
