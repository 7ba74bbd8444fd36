// Signs for workloads: who asks, whether they may have that identity, for how long.
import type { IstioCertificateRequest } from "@ambit/api";
import { hasCode, type Logger, MeshError } from "@ambit/core";
import { checkSigningRequest } from "@ambit/identity";
import type { ObjectSource } from "@ambit/kube";
import type { CertificateMetrics } from "../metrics.ts";
import type { Caller } from "./authenticate.ts";
import { authorizeImpersonation, type NodeAuthorizationOptions } from "./node-authorization.ts";
import type { Signer } from "./signer.ts";

export interface CertificateServiceOptions extends NodeAuthorizationOptions {
  readonly defaultTtlMs: number;
  readonly maxTtlMs: number;
}

export interface CertificateServiceDeps {
  readonly signer: Signer;
  readonly source: Pick<ObjectSource, "get" | "list">;
  readonly logger: Logger;
  readonly metrics: CertificateMetrics;
}

export class CertificateService {
  readonly #deps: CertificateServiceDeps;
  readonly #options: CertificateServiceOptions;

  constructor(deps: CertificateServiceDeps, options: CertificateServiceOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /**
   * The certificate's elements: leaf, intermediates, roots.
   * @throws ISTIOD_NOT_AUTHORIZED, ISTIOD_REQUEST_INVALID, IDENTITY_CSR_INVALID
   */
  create({ csr, validityDuration, metadata }: IstioCertificateRequest, caller: Caller): string[] {
    const { signer, source, logger, metrics } = this.#deps;
    metrics.requests.inc({});
    try {
      const wanted = metadata?.["ImpersonatedIdentity"];
      if (wanted !== undefined && typeof wanted !== "string")
        throw new MeshError("ISTIOD_REQUEST_INVALID", "ImpersonatedIdentity must be a text");
      const identity = wanted ? authorizeImpersonation(caller, wanted, source, this.#options) : caller.identity;
      const ttlMs = this.#ttlOf(validityDuration);
      // The names in the request do not count: the identity is the one that was checked.
      const { publicKey } = checkSigningRequest(csr);
      const chain = signer.issue({ publicKey, names: { uris: [identity] }, ttlMs });
      metrics.issued.inc({});
      logger.info("Signed", { identity, for: caller.pod?.name ?? caller.identity, ttlSeconds: ttlMs / 1000 });
      return chain;
    } catch (error) {
      (hasCode(error, "IDENTITY_CSR_INVALID") ? metrics.unreadable : metrics.refused).inc({});
      logger.warn("Not signed", { caller: caller.identity, pod: caller.pod?.name, error });
      throw error;
    }
  }

  #ttlOf(seconds: bigint): number {
    const { defaultTtlMs, maxTtlMs } = this.#options;
    if (seconds <= 0n) return defaultTtlMs;
    const ttlMs = Number(seconds) * 1000;
    if (ttlMs > maxTtlMs)
      throw new MeshError(
        "ISTIOD_REQUEST_INVALID",
        `A lifetime of ${seconds} s is asked for, the maximum is ${maxTtlMs / 1000} s`,
      );
    return ttlMs;
  }
}
