// Kubernetes service-account tokens: signature, time, audience, and whose they are.
import { verify } from "node:crypto";
import { MeshError } from "@ambit/core";
import { z } from "zod";
import type { TokenKey } from "./token-keys.ts";

export interface ServiceAccountToken {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The pod that the token is bound to. */
  readonly pod: { readonly name: string; readonly uid: string } | undefined;
}

export interface TokenExpectations {
  readonly audiences: readonly string[];
  /** Undefined: any. */
  readonly issuer: string | undefined;
  readonly nowMs: number;
}

const header = z.object({ alg: z.enum(["RS256", "ES256", "EdDSA"]), kid: z.string().optional() });

const claims = z.object({
  iss: z.string().optional(),
  sub: z.string(),
  aud: z.union([z.string().transform((one) => [one]), z.array(z.string())]),
  exp: z.number(),
  nbf: z.number().optional(),
  "kubernetes.io": z.object({ pod: z.object({ name: z.string(), uid: z.string() }).optional() }).optional(),
});

/** What each algorithm's keys are. One kind of key is never used with another's algorithm. */
const KEY_TYPES = { RS256: "rsa", ES256: "ec", EdDSA: "ed25519" } as const;

/** @throws ISTIOD_UNAUTHENTICATED saying what is wrong with it */
export function checkToken(token: string, keys: readonly TokenKey[], expected: TokenExpectations): ServiceAccountToken {
  const [headerText = "", claimsText = "", signatureText = "", ...rest] = token.split(".");
  if (signatureText === "" || rest.length > 0) throw refused("is not a signed JSON Web Token");
  const { alg, kid } = parsePart(header, headerText, "header");
  const candidates = keys.filter(
    ({ id, key }) => key.asymmetricKeyType === KEY_TYPES[alg] && (kid === undefined || id === "" || id === kid),
  );
  const signed = Buffer.from(`${headerText}.${claimsText}`);
  const signature = Buffer.from(signatureText, "base64url");
  const digest = alg === "EdDSA" ? null : "sha256";
  const isGenuine = candidates.some(({ key }) => verify(digest, signed, { key, dsaEncoding: "ieee-p1363" }, signature));
  if (!isGenuine) throw refused("is not signed by a key of TOKEN_KEYS_FILE");
  const { sub, aud, exp, nbf, iss, "kubernetes.io": kubernetes } = parsePart(claims, claimsText, "claims");
  const nowSeconds = expected.nowMs / 1000;
  if (exp <= nowSeconds) throw refused(`expired at ${new Date(exp * 1000).toISOString()}`);
  if (nbf !== undefined && nbf > nowSeconds) throw refused(`is valid from ${new Date(nbf * 1000).toISOString()} only`);
  if (!aud.some((audience) => expected.audiences.includes(audience)))
    throw refused(`is for audience ${aud.join(", ")}, not ${expected.audiences.join(" or ")}`);
  if (expected.issuer !== undefined && iss !== expected.issuer) throw refused(`is issued by ${iss}, not ${expected.issuer}`);
  const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(sub) ?? [];
  if (namespace === undefined || serviceAccount === undefined) throw refused(`is for ${sub}, which is no service account`);
  return { namespace, serviceAccount, pod: kubernetes?.pod };
}

function parsePart<Schema extends z.ZodType>(schema: Schema, text: string, what: string): z.output<Schema> {
  try {
    return schema.parse(JSON.parse(Buffer.from(text, "base64url").toString("utf8")));
  } catch (cause) {
    throw refused(`has a ${what} that cannot be read`, cause);
  }
}

function refused(reason: string, cause?: unknown): MeshError {
  return new MeshError("ISTIOD_UNAUTHENTICATED", `The token ${reason}`, { cause });
}
