// Which identities this node needs certificates for, and how the workers get them.
import { type Logger, type SpiffeId, spiffeId } from "@ambit/core";
import type { SvidChange, SvidManager } from "@ambit/identity";
import type { LocalPod, ToWorker } from "./worker-messages.ts";

export interface IdentityKeeperDeps {
  readonly svids: SvidManager;
  readonly trustDomain: string;
  readonly logger: Logger;
  /** To every worker. */
  readonly broadcast: (message: ToWorker) => void;
}

export class IdentityKeeper {
  readonly #deps: IdentityKeeperDeps;
  #needed = new Set<SpiffeId>();
  readonly #lost = new Map<SpiffeId, string>();

  constructor(deps: IdentityKeeperDeps) {
    this.#deps = deps;
    deps.svids.onChange((change) => this.#onChange(change));
  }

  /** One per service account that has a pod here; those of the last pod of an account go with it. */
  update(pods: readonly LocalPod[]): void {
    const { svids, trustDomain } = this.#deps;
    const needed = new Set(pods.map(({ namespace, serviceAccount }) => spiffeId({ trustDomain, namespace, serviceAccount })));
    for (const identity of this.#needed) if (!needed.has(identity)) svids.forget(identity);
    this.#needed = needed;
    for (const identity of needed) svids.prefetch(identity);
  }

  /** A connection waits for it. Asked for only when a pod of this node has the identity. */
  need(identity: SpiffeId): void {
    const { svids, logger } = this.#deps;
    if (this.#needed.has(identity)) svids.prefetch(identity, "realtime");
    else logger.warn("a certificate was wanted that no pod here may have", { identity });
  }

  /** What a worker that has just started must know. */
  workerStarted(send: (message: ToWorker) => void): void {
    for (const identity of this.#needed) {
      const svid = this.#deps.svids.current(identity);
      if (svid !== undefined) send({ kind: "svid", svid });
      else send({ kind: "svidLost", identity, reason: this.#lost.get(identity) ?? "it has not been issued yet" });
    }
  }

  #onChange(change: SvidChange): void {
    const { broadcast } = this.#deps;
    switch (change.kind) {
      case "available":
        this.#lost.delete(change.svid.identity);
        broadcast({ kind: "svid", svid: change.svid });
        return;
      case "unavailable":
        this.#lost.set(change.identity, change.error.message);
        broadcast({ kind: "svidLost", identity: change.identity, reason: change.error.message });
        return;
      case "forgotten":
        this.#lost.delete(change.identity);
        broadcast({ kind: "svidLost", identity: change.identity, reason: "no pod of this node has it any more" });
        return;
    }
  }
}
