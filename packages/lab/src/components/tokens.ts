// The lab's service-account tokens: the key they are signed with, and a file for each component that is kept fresh.
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

export const TOKEN_ISSUER = "https://kubernetes.default.svc.cluster.local";
const AUDIENCE = "istio-ca";
const KEY_ID = "lab";
const LIFETIME_S = 3600;

export interface TokenSubject {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: { readonly name: string; readonly uid: string };
  readonly node: string;
}

export class TokenIssuer {
  readonly #directory: string;
  readonly #key: KeyObject;
  readonly keysFile: string;

  constructor(directory: string) {
    this.#directory = directory;
    this.keysFile = join(directory, "keys.json");
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#key = createPrivateKey(privateKey.export({ type: "pkcs8", format: "pem" }));
  }

  /** Writes the public key where the control plane looks for it. */
  async publish(): Promise<void> {
    const { kty, crv, x, y } = this.#key.export({ format: "jwk" });
    const keys = [{ kty, crv, x, y, kid: KEY_ID, use: "sig", alg: "ES256" }];
    await writeFile(this.keysFile, `${JSON.stringify({ keys })}\n`);
  }

  /** Writes a new token over the old one; gives the file's path. */
  async renew(subject: TokenSubject, nowMs = Date.now()): Promise<string> {
    const file = join(this.#directory, `${subject.pod.name}.jwt`);
    await writeFile(`${file}.new`, this.token(subject, nowMs), { mode: 0o600 });
    await rename(`${file}.new`, file);
    return file;
  }

  /** The claims of a token that Kubernetes projects into a pod. */
  token({ namespace, serviceAccount, pod, node }: TokenSubject, nowMs: number): string {
    const nowS = Math.floor(nowMs / 1000);
    const claims = {
      iss: TOKEN_ISSUER,
      sub: `system:serviceaccount:${namespace}:${serviceAccount}`,
      aud: [AUDIENCE],
      iat: nowS,
      nbf: nowS,
      exp: nowS + LIFETIME_S,
      "kubernetes.io": {
        namespace,
        serviceaccount: { name: serviceAccount, uid: `${namespace}-${serviceAccount}` },
        pod,
        node: { name: node, uid: node },
      },
    };
    const signed = `${encode({ alg: "ES256", kid: KEY_ID, typ: "JWT" })}.${encode(claims)}`;
    const signature = sign("sha256", Buffer.from(signed), { key: this.#key, dsaEncoding: "ieee-p1363" });
    return `${signed}.${signature.toString("base64url")}`;
  }
}

/** A third of the lifetime leaves two chances before a token expires. */
export const TOKEN_RENEWAL_MS = (LIFETIME_S * 1000) / 3;

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
