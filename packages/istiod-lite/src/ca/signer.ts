// The certificate authority: signs for workloads and for our own server, from the files of CA_DIR.
import { type KeyObject, X509Certificate } from "node:crypto";
import { type Clock, type Logger, MeshError } from "@ambit/core";
import { issueCertificate } from "@ambit/identity";
import type { AuthorityFiles } from "./authority-files.ts";
import { type AuthorityMaterial, checkMaterial, notAfterMs } from "./authority-material.ts";
import { maintainOwnRoot, type OwnRootOptions } from "./own-root.ts";

/** Clocks of nodes may be behind ours; short lives are backdated less, or they would be half over when they begin. */
const MAX_BACKDATE_MS = 2 * 60_000;
const BACKDATE_SHARE = 0.1;
/** How often files are looked at and ages are checked. */
const REFRESH_MS = 60_000;

export interface IssueRequest {
  readonly publicKey: KeyObject;
  readonly names: { readonly uris?: readonly string[]; readonly dnsNames?: readonly string[]; readonly ips?: readonly string[] };
  readonly ttlMs: number;
}

export interface SignerDeps {
  readonly files: AuthorityFiles;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** States: closed → open (`open`). A refresh that fails leaves what was in force. */
export class Signer {
  readonly #deps: SignerDeps;
  readonly #options: OwnRootOptions;
  readonly #handlers = new Set<() => void>();
  #material: AuthorityMaterial | undefined;
  /** Roots that left the files and have not expired: leafs signed under them are still about. */
  #retired: readonly X509Certificate[] = [];

  constructor(deps: SignerDeps, options: OwnRootOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Reads or makes the authority, then looks after it until `signal` aborts. @throws ISTIOD_CA_UNUSABLE */
  async open(signal: AbortSignal): Promise<void> {
    await this.refresh();
    const { clock, logger } = this.#deps;
    const again = () => {
      if (signal.aborted) return;
      this.refresh()
        .catch((error: unknown) =>
          logger.error("The certificate authority's files cannot be used, the last good ones stay in force", { error }),
        )
        .finally(() => clock.after(REFRESH_MS, again));
    };
    clock.after(REFRESH_MS, again);
  }

  /** @throws ISTIOD_CA_UNUSABLE */
  async refresh(): Promise<void> {
    const { files, clock, logger } = this.#deps;
    const isPluggedIn = (await files.read("rootKey")) === undefined && (await files.read("key")) !== undefined;
    if (!isPluggedIn) await maintainOwnRoot(files, this.#options, clock.nowMs(), logger);
    const [certificate, key, chain, roots] = await Promise.all([
      files.read("certificate"),
      files.read("key"),
      files.read("chain"),
      files.read("roots"),
    ]);
    if (certificate === undefined || key === undefined || roots === undefined)
      throw new MeshError("ISTIOD_CA_UNUSABLE", `${files.directory} must hold ca-cert.pem, ca-key.pem and root-cert.pem`);
    this.#take(checkMaterial(files.directory, { certificate, key, chain, roots }, clock.nowMs()));
  }

  /** Called when the signing certificate or the roots have changed. Returns the way to unsubscribe. */
  onChange(handler: () => void): () => void {
    this.#handlers.add(handler);
    return () => void this.#handlers.delete(handler);
  }

  /** Everything that peers should trust, PEM. */
  get rootsPem(): string {
    return [...this.#current().roots, ...this.#retired].map((root) => root.toString()).join("");
  }

  /** When root and signing certificate expire; 0 while closed. */
  expiries(): { readonly rootMs: number; readonly chainMs: number } {
    const { roots = [], certificate } = this.#material ?? {};
    const endOf = (item: X509Certificate | undefined) => (item === undefined ? 0 : notAfterMs(item));
    return { rootMs: endOf(roots[0]), chainMs: endOf(certificate) };
  }

  /** Leaf, intermediates one by one, and as last element all roots. The end is cut to that of the signing certificate. */
  issue({ publicKey, names, ttlMs }: IssueRequest): string[] {
    const { certificate, privateKey, intermediates } = this.#current();
    const nowMs = this.#deps.clock.nowMs();
    const backdateMs = Math.min(MAX_BACKDATE_MS, ttlMs * BACKDATE_SHARE);
    const template = { names, isCa: false, notBeforeMs: nowMs - backdateMs, notAfterMs: nowMs + ttlMs };
    const leaf = issueCertificate(template, publicKey, { certificatePem: certificate.toString(), privateKey });
    return [leaf, ...intermediates, this.rootsPem];
  }

  #take(material: AuthorityMaterial): void {
    const previous = this.#material;
    const current = new Set(material.roots.map(({ fingerprint256 }) => fingerprint256));
    const nowMs = this.#deps.clock.nowMs();
    this.#retired = [...this.#retired, ...(previous?.roots ?? [])].filter(
      (root, i, all) =>
        !current.has(root.fingerprint256) &&
        notAfterMs(root) > nowMs &&
        all.findIndex((other) => other.fingerprint256 === root.fingerprint256) === i,
    );
    this.#material = material;
    if (previous !== undefined && fingerprintOf(previous) === fingerprintOf(material)) return;
    if (previous !== undefined)
      this.#deps.logger.info("The certificate authority has changed", { expires: material.certificate.validTo });
    for (const handler of this.#handlers) handler();
  }

  #current(): AuthorityMaterial {
    if (this.#material === undefined) throw new MeshError("ISTIOD_CA_UNUSABLE", "The certificate authority is not open");
    return this.#material;
  }
}

function fingerprintOf({ certificate, roots }: AuthorityMaterial): string {
  return [certificate, ...roots].map(({ fingerprint256 }) => fingerprint256).join();
}

/** The certificate's own life, for whoever renews at half of it. */
export function halfLifeMs(certificatePem: string): number {
  const certificate = new X509Certificate(certificatePem);
  return (Date.parse(certificate.validFrom) + Date.parse(certificate.validTo)) / 2;
}
