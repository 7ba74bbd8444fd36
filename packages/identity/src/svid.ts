// An identity in certificate form: chain, key, roots and times, checked before use.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { MeshError, type SpiffeId } from "@ambit/core";

export interface Svid {
  readonly identity: SpiffeId;
  /** Leaf first, then intermediates. */
  readonly certChain: string;
  /** PKCS#8. */
  readonly privateKey: string;
  readonly roots: string;
  /** Milliseconds since the epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * Takes what a certificate authority sent: leaf, intermediates, and as last element the roots.
 * @throws IDENTITY_CA_REPLY_INVALID unless the leaf names the identity asked for, fits the key and chains to one of the roots
 */
export function svidFromReply(identity: SpiffeId, privateKey: string, reply: readonly string[]): Svid {
  const invalid = (reason: string, cause?: unknown) =>
    new MeshError("IDENTITY_CA_REPLY_INVALID", `The authority's answer for ${identity} is not usable: ${reason}`, { cause });
  const roots = reply.at(-1);
  if (reply.length < 2 || roots === undefined) throw invalid(`it has ${reply.length} elements; a leaf and the roots are needed`);
  const chain = reply.slice(0, -1);
  try {
    const certificates = chain.flatMap(certificatesOf);
    const anchors = certificatesOf(roots);
    const leaf = certificates[0];
    if (leaf === undefined) throw new TypeError("the first element holds no certificate");
    const names = uriNames(leaf);
    if (names.length !== 1 || names[0] !== identity) throw new TypeError(`the leaf is for ${names.join(", ") || "nobody"}`);
    if (!leaf.checkPrivateKey(createPrivateKey(privateKey))) throw new TypeError("the leaf is for another key");
    checkChain(certificates, anchors);
    return {
      identity,
      certChain: chain.map(withNewline).join(""),
      privateKey,
      roots: withNewline(roots),
      notBeforeMs: Date.parse(leaf.validFrom),
      notAfterMs: Date.parse(leaf.validTo),
    };
  } catch (cause) {
    if (cause instanceof MeshError) throw cause;
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** Every certificate in a PEM text, in order. */
export function certificatesOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/** The URI names of a certificate. */
export function uriNames(certificate: X509Certificate): string[] {
  return [...(certificate.subjectAltName ?? "").matchAll(/URI:([^,\s]+)/g)].map((match) => match[1] ?? "");
}

function checkChain(chain: readonly X509Certificate[], anchors: readonly X509Certificate[]): void {
  for (let i = 0; i < chain.length; i++) {
    const certificate = chain[i];
    const parents = i + 1 < chain.length ? chain.slice(i + 1, i + 2) : anchors;
    const signed = parents.some((parent) => certificate?.checkIssued(parent) === true && certificate.verify(parent.publicKey));
    if (!signed)
      throw new TypeError(
        i + 1 < chain.length
          ? `certificate ${i} is not signed by certificate ${i + 1}`
          : "the chain does not end at one of the roots",
      );
  }
}

function withNewline(text: string): string {
  return text.endsWith("\n") ? text : `${text}\n`;
}
