// Who calls: by client certificate of the mesh, else by service-account token.
import type { X509Certificate } from "node:crypto";
import { type Clock, MeshError, parseSpiffeId, type SpiffeId, spiffeId } from "@ambit/core";
import { uriNames } from "@ambit/identity";
import { checkToken } from "./service-account-token.ts";
import type { TokenKeys } from "./token-keys.ts";

export interface Caller {
  readonly identity: SpiffeId;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The pod that the caller's token is bound to; a certificate names none. */
  readonly pod: { readonly name: string; readonly uid: string } | undefined;
}

/** What a connection shows of itself. */
export interface PeerCertificate {
  readonly certificate: X509Certificate;
  /** Whether it chains to our roots. */
  readonly authorized: boolean;
}

export interface AuthenticatorOptions {
  readonly trustDomain: string;
  readonly audiences: readonly string[];
  readonly issuer: string | undefined;
}

export class Authenticator {
  readonly #keys: TokenKeys;
  readonly #clock: Clock;
  readonly #options: AuthenticatorOptions;

  constructor(keys: TokenKeys, clock: Clock, options: AuthenticatorOptions) {
    this.#keys = keys;
    this.#clock = clock;
    this.#options = options;
  }

  /** @throws ISTIOD_UNAUTHENTICATED, ISTIOD_TOKEN_KEYS_UNREADABLE */
  async authenticate(authorization: string | null, peer: PeerCertificate | undefined): Promise<Caller> {
    if (peer !== undefined) return this.#fromCertificate(peer);
    const [, token] = /^Bearer (.+)$/i.exec(authorization ?? "") ?? [];
    if (token === undefined)
      throw new MeshError("ISTIOD_UNAUTHENTICATED", "Neither a client certificate nor a bearer token was sent");
    const { trustDomain, audiences, issuer } = this.#options;
    const keys = await this.#keys.read();
    const checked = checkToken(token.trim(), keys, { audiences, issuer, nowMs: this.#clock.nowMs() });
    return { ...checked, identity: spiffeId({ trustDomain, ...checked }) };
  }

  /** A certificate that was shown must hold: there is no falling back to a token behind a bad one. */
  #fromCertificate({ certificate, authorized }: PeerCertificate): Caller {
    const refused = (reason: string) => new MeshError("ISTIOD_UNAUTHENTICATED", `The client certificate ${reason}`);
    if (!authorized) throw refused("is not signed by this mesh's authority");
    // The handshake may be long ago.
    if (Date.parse(certificate.validTo) <= this.#clock.nowMs()) throw refused(`expired at ${certificate.validTo}`);
    const names = uriNames(certificate);
    const parts = names.length === 1 ? parseSpiffeId(names[0] ?? "") : undefined;
    if (parts === undefined) throw refused("names no single SPIFFE identity");
    if (parts.trustDomain !== this.#options.trustDomain) throw refused(`is of trust domain ${parts.trustDomain}`);
    const { namespace, serviceAccount } = parts;
    return { identity: spiffeId(parts), namespace, serviceAccount, pod: undefined };
  }
}
