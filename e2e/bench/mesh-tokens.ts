// Service account tokens as Kubernetes signs them, for proxies that run without Kubernetes.
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";

const KEY_ID = "bench";
const LIFETIME_SECONDS = 24 * 3600;

export interface TokenSubject {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: { readonly name: string; readonly uid: string };
  readonly node: string;
}

export class TokenSigner {
  readonly #key: KeyObject;
  /** JSON Web Key Set with the public key. */
  readonly keySet: string;

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    this.#key = privateKey;
    this.keySet = JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: KEY_ID, alg: "ES256", use: "sig" }] });
  }

  /** For audience istio-ca. */
  token({ namespace, serviceAccount, pod, node }: TokenSubject): string {
    const nowSeconds = Math.floor(Date.now() / 1_000);
    const claims = {
      iss: "https://kubernetes.default.svc.cluster.local",
      aud: ["istio-ca"],
      sub: `system:serviceaccount:${namespace}:${serviceAccount}`,
      iat: nowSeconds,
      nbf: nowSeconds - 5,
      exp: nowSeconds + LIFETIME_SECONDS,
      "kubernetes.io": {
        namespace,
        serviceaccount: { name: serviceAccount, uid: `sa-${serviceAccount}` },
        pod,
        node: { name: node, uid: node },
      },
    };
    const head = base64url(JSON.stringify({ alg: "ES256", kid: KEY_ID, typ: "JWT" }));
    const body = `${head}.${base64url(JSON.stringify(claims))}`;
    return `${body}.${sign("sha256", Buffer.from(body), { key: this.#key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  }
}

function base64url(text: string): string {
  return Buffer.from(text).toString("base64url");
}
