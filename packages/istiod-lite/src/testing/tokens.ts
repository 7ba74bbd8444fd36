// Service-account tokens as an API server would issue them, with keys of the test.
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";

export interface TokenClaims {
  readonly namespace?: string;
  readonly serviceAccount?: string;
  readonly audience?: string | readonly string[];
  readonly pod?: { readonly name: string; readonly uid: string };
  readonly expiresInSeconds?: number;
  readonly notBeforeInSeconds?: number;
  readonly issuer?: string;
}

export class TokenIssuer {
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #keyId: string;

  constructor(keyId = "k1") {
    const keys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    this.#privateKey = keys.privateKey;
    this.#publicKey = keys.publicKey;
    this.#keyId = keyId;
  }

  /** The JSON Web Key set for TOKEN_KEYS_FILE. */
  get keySet(): string {
    const jwk = this.#publicKey.export({ format: "jwk" });
    return JSON.stringify({ keys: [{ ...jwk, kid: this.#keyId, alg: "ES256", use: "sig" }] });
  }

  token(claims: TokenClaims = {}): string {
    const {
      namespace = "ambit-system",
      serviceAccount = "ztunnel",
      audience = "istio-ca",
      pod,
      expiresInSeconds = 3600,
    } = claims;
    const now = Math.floor(Date.now() / 1000);
    const header = encode({ alg: "ES256", kid: this.#keyId, typ: "JWT" });
    const body = encode({
      iss: claims.issuer ?? "https://kubernetes.default.svc",
      sub: `system:serviceaccount:${namespace}:${serviceAccount}`,
      aud: Array.isArray(audience) ? audience : [audience],
      exp: now + expiresInSeconds,
      ...(claims.notBeforeInSeconds === undefined ? {} : { nbf: now + claims.notBeforeInSeconds }),
      "kubernetes.io": { namespace, serviceaccount: { name: serviceAccount, uid: "sa" }, ...(pod === undefined ? {} : { pod }) },
    });
    const signature = sign("sha256", Buffer.from(`${header}.${body}`), { key: this.#privateKey, dsaEncoding: "ieee-p1363" });
    return `${header}.${body}.${signature.toString("base64url")}`;
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
