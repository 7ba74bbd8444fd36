// The certificates that this worker may use now, by identity.
import { asMeshError, MeshError, type SpiffeId } from "@ambit/core";
import type { Credentials, Engine } from "@ambit/engine";
import type { WorkerSvid } from "../worker-messages.ts";

export class CredentialStore {
  readonly #engine: Engine;
  readonly #requestIdentity: (identity: SpiffeId) => void;
  readonly #current = new Map<SpiffeId, Credentials>();
  readonly #lost = new Map<SpiffeId, string>();

  /** @param requestIdentity asks the main thread for one that is missing */
  constructor(engine: Engine, requestIdentity: (identity: SpiffeId) => void) {
    this.#engine = engine;
    this.#requestIdentity = requestIdentity;
  }

  /** The certificate, unless there is none or it has expired; what is missing is asked for. */
  get(identity: SpiffeId): Credentials | undefined {
    const credentials = this.#current.get(identity);
    if (credentials !== undefined && this.#engine.nowMs() < credentials.notAfterMs) return credentials;
    this.#requestIdentity(identity);
    return undefined;
  }

  /** Whose certificates are held, expired ones too. */
  identities(): SpiffeId[] {
    return [...this.#current.keys()];
  }

  /** A new generation; connections that use the old one keep it alive. @returns why it cannot be used, if so */
  set({ identity, certChain, privateKey, roots }: WorkerSvid): MeshError | undefined {
    try {
      const credentials = this.#engine.credentials({ certChain, privateKey, roots });
      this.#current.get(identity)?.close();
      this.#current.set(identity, credentials);
      this.#lost.delete(identity);
      return undefined;
    } catch (error) {
      return asMeshError(error, "ENGINE_CREDENTIALS_INVALID");
    }
  }

  lose(identity: SpiffeId, reason: string): void {
    this.#current.get(identity)?.close();
    this.#current.delete(identity);
    this.#lost.set(identity, reason);
  }

  unavailable(identity: SpiffeId): MeshError {
    const reason = this.#lost.get(identity) ?? "it has not been issued yet";
    return new MeshError("ZTUNNEL_IDENTITY_UNAVAILABLE", `identity error: no certificate for ${identity}: ${reason}`);
  }

  close(): void {
    for (const credentials of this.#current.values()) credentials.close();
    this.#current.clear();
  }
}
