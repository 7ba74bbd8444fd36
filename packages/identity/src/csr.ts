// Certificate signing requests: made by a proxy for an identity, checked by the authority.
import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { MeshError, type SpiffeId } from "@ambit/core";
import {
  bitString,
  children,
  content,
  explicit,
  fromDer,
  integer,
  OID,
  oid,
  oidOf,
  pemBlocks,
  pemOf,
  sequence,
  set,
  toDer,
} from "./der.ts";
import { subjectAltName, urisOf } from "./extensions.ts";

export interface SigningRequest {
  readonly csrPem: string;
  /** PKCS#8. */
  readonly privateKeyPem: string;
}

/** A new P-256 key and a request for the identity: empty subject, one critical URI name. @source ztunnel src/tls/csr.rs */
export function createSigningRequest(identity: SpiffeId): SigningRequest {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const info = sequence(
    integer(Buffer.from([0])),
    sequence(),
    fromDer(publicKey.export({ type: "spki", format: "der" })),
    explicit(0, sequence(oid(OID.extensionRequest), set(sequence(subjectAltName({ uris: [identity] }))))),
  );
  const signature = sign("sha256", toDer(info), privateKey);
  const request = sequence(info, sequence(oid(OID.ecdsaWithSha256)), bitString(signature));
  return {
    csrPem: pemOf("CERTIFICATE REQUEST", toDer(request)),
    privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
}

export interface CheckedRequest {
  readonly publicKey: KeyObject;
  readonly uris: readonly string[];
}

/** @throws IDENTITY_CSR_INVALID unless the request parses and is signed by the key that it holds */
export function checkSigningRequest(csrPem: string): CheckedRequest {
  const invalid = (reason: string, cause?: unknown) =>
    new MeshError("IDENTITY_CSR_INVALID", `The signing request ${reason}`, { cause });
  const [der] = pemBlocks("CERTIFICATE REQUEST", csrPem);
  if (der === undefined) throw invalid("holds no PEM block CERTIFICATE REQUEST");
  let checked: CheckedRequest & { readonly signed: boolean };
  try {
    const [info, algorithm, signature] = children(fromDer(der));
    const [, , spki, attributes] = children(info);
    if (info === undefined || spki === undefined) throw new TypeError("parts are missing");
    if (oidOf(children(algorithm)[0]) !== OID.ecdsaWithSha256) throw new TypeError("the signature is not ECDSA with SHA-256");
    const publicKey = createPublicKey({ key: toDer(spki), format: "der", type: "spki" });
    const signed = verify("sha256", toDer(info), publicKey, content(signature).subarray(1));
    const request = children(attributes).find((attribute) => oidOf(children(attribute)[0]) === OID.extensionRequest);
    checked = { publicKey, signed, uris: urisOf(children(children(request)[1])[0]) };
  } catch (cause) {
    throw invalid(`does not parse: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
  if (!checked.signed) throw invalid("is not signed by the key that it holds");
  return { publicKey: checked.publicKey, uris: checked.uris };
}
