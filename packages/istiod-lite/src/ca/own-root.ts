// A root that we made ourselves: made once, its intermediate renewed, itself replaced with overlap before it expires.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { type Logger, MeshError } from "@ambit/core";
import { certificatesOf, issueCertificate, issueRoot } from "@ambit/identity";
import type { AuthorityFiles } from "./authority-files.ts";
import { notAfterMs, notBeforeMs } from "./authority-material.ts";

const DAY_MS = 86_400_000;
const ROOT_LIFETIME_MS = 3650 * DAY_MS;
const INTERMEDIATE_LIFETIME_MS = 365 * DAY_MS;
/** Clocks of nodes may be behind ours. */
const BACKDATE_MS = 2 * 60_000;
/** Share of its life that a root has left when its successor is made. */
const SUCCESSOR_SHARE = 0.2;

export interface OwnRootOptions {
  readonly organization: string;
  /** How long every leaf may live: for that time a new root is known before anything is signed by it. */
  readonly overlapMs: number;
}

/**
 * Brings the files to what the time asks for. Each step leaves files that the next call goes on from:
 * successor made and announced among the roots → after the overlap it signs → the old root goes when it expires.
 */
export async function maintainOwnRoot(
  files: AuthorityFiles,
  options: OwnRootOptions,
  nowMs: number,
  logger: Logger,
): Promise<void> {
  const rootKeyText = await files.read("rootKey");
  if (rootKeyText === undefined) {
    await makeFirstRoot(files, options, nowMs);
    logger.info("Made a root certificate", { directory: files.directory });
    return maintainOwnRoot(files, options, nowMs, logger);
  }
  let bundle = certificatesOf((await files.read("roots")) ?? "");
  let rootKey = createPrivateKey(rootKeyText);
  let root = ownerOf(rootKey, bundle, files);
  const nextText = await files.read("nextRoot");
  const nextKeyText = await files.read("nextRootKey");
  if (nextText !== undefined && nextKeyText !== undefined) {
    const next = new X509Certificate(nextText);
    if (!bundle.some((known) => known.fingerprint256 === next.fingerprint256)) bundle = [...bundle, next];
    if (notBeforeMs(next) + BACKDATE_MS + options.overlapMs <= nowMs) {
      await files.write("roots", pemOf([next, ...bundle]));
      await files.write("rootKey", nextKeyText);
      await files.remove("nextRootKey");
      await files.remove("nextRoot");
      [root, rootKey] = [next, createPrivateKey(nextKeyText)];
      logger.info("The new root signs from now on", { expires: next.validTo });
    }
  } else if (notAfterMs(root) - nowMs < SUCCESSOR_SHARE * (notAfterMs(root) - notBeforeMs(root))) {
    const next = newRoot(options, nowMs);
    await files.write("nextRootKey", next.keyText);
    await files.write("nextRoot", next.certificate.toString());
    bundle = [...bundle, next.certificate];
    logger.info("Made the next root; it signs when every certificate of today has been renewed", {
      expires: next.certificate.validTo,
    });
  }
  const kept = [root, ...bundle.filter((other) => other.fingerprint256 !== root.fingerprint256 && notAfterMs(other) > nowMs)];
  const text = pemOf(kept);
  if ((await files.read("roots")) !== text) await files.write("roots", text);
  await maintainIntermediate(files, options, root, rootKey, nowMs);
}

async function makeFirstRoot(files: AuthorityFiles, options: OwnRootOptions, nowMs: number): Promise<void> {
  if ((await files.read("key")) !== undefined || (await files.read("certificate")) !== undefined)
    throw new MeshError(
      "ISTIOD_CA_UNUSABLE",
      `${files.directory} holds a part of a certificate authority: neither all four files of a plugged-in one nor a root key`,
    );
  const { keyText, certificate } = newRoot(options, nowMs);
  await files.write("roots", certificate.toString());
  await files.write("rootKey", keyText);
}

function newRoot(
  { organization }: OwnRootOptions,
  nowMs: number,
): { readonly keyText: string; readonly certificate: X509Certificate } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const template = { organization, notBeforeMs: nowMs - BACKDATE_MS, notAfterMs: nowMs + ROOT_LIFETIME_MS };
  return { keyText: textOf(privateKey), certificate: new X509Certificate(issueRoot(template, publicKey, privateKey)) };
}

/** Leafs are signed by an intermediate that changes every half year, so the root's key signs rarely. */
async function maintainIntermediate(
  files: AuthorityFiles,
  { organization }: OwnRootOptions,
  root: X509Certificate,
  rootKey: KeyObject,
  nowMs: number,
): Promise<void> {
  const [certificateText, keyText] = [await files.read("certificate"), await files.read("key")];
  if (certificateText !== undefined && keyText !== undefined) {
    const certificate = new X509Certificate(certificateText);
    const halfMs = (notBeforeMs(certificate) + notAfterMs(certificate)) / 2;
    const fits = certificate.checkPrivateKey(createPrivateKey(keyText)) && certificate.verify(root.publicKey);
    if (fits && nowMs < halfMs) return;
  }
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const template = {
    organization: `${organization} intermediate`,
    isCa: true,
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs: nowMs + INTERMEDIATE_LIFETIME_MS,
  };
  const certificate = issueCertificate(template, publicKey, { certificatePem: root.toString(), privateKey: rootKey });
  await files.write("key", textOf(privateKey));
  await files.write("certificate", certificate);
  await files.write("chain", certificate);
}

function ownerOf(key: KeyObject, bundle: readonly X509Certificate[], files: AuthorityFiles): X509Certificate {
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  const owner = bundle.find((root) => root.publicKey.export({ type: "spki", format: "der" }).equals(spki));
  if (owner === undefined)
    throw new MeshError(
      "ISTIOD_CA_UNUSABLE",
      `${files.directory}: root-key.pem is not the key of a certificate in root-cert.pem`,
    );
  return owner;
}

function textOf(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }) as string;
}

/** Each certificate once. */
function pemOf(certificates: readonly X509Certificate[]): string {
  const unique = new Map(certificates.map((certificate) => [certificate.fingerprint256, certificate.toString()]));
  return [...unique.values()].join("");
}
