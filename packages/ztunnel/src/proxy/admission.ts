// A connection of a pod waits here until the pod's workload is known and, where needed, its certificate is there.
import { type ClusterId, identityOf, MeshError, type SpiffeId, type Workload, type WorkloadUid } from "@ambit/core";
import type { MeshState } from "@ambit/discovery";
import type { Credentials, Engine, EngineTimer } from "@ambit/engine";
import type { LocalPod } from "../worker-messages.ts";
import type { CredentialStore } from "./credential-store.ts";

/** @source ztunnel src/proxy/mod.rs: 5 s for workload and certificate */
const WAIT_MS = 5_000;

/** A pod with everything that its connections need. */
export interface Admitted {
  readonly workload: Workload;
  readonly identity: SpiffeId;
  /** Present when it was asked for. */
  readonly credentials: Credentials | undefined;
}

export type AdmissionResult =
  | { readonly kind: "admitted"; readonly admitted: Admitted }
  | { readonly kind: "refused"; readonly error: MeshError };

interface Waiter {
  readonly pod: LocalPod;
  readonly needsCredentials: boolean;
  readonly done: (result: AdmissionResult) => void;
  readonly timer: EngineTimer;
}

export class Admission {
  readonly #engine: Engine;
  readonly #view: MeshState;
  readonly #credentials: CredentialStore;
  readonly #clusterId: ClusterId;
  readonly #waiters = new Set<Waiter>();
  #isMeshReady = false;

  constructor(engine: Engine, view: MeshState, credentials: CredentialStore, clusterId: ClusterId) {
    this.#engine = engine;
    this.#view = view;
    this.#credentials = credentials;
    this.#clusterId = clusterId;
  }

  /** Connections that wait. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** `done` is called at once when nothing is missing. */
  admit(pod: LocalPod, needsCredentials: boolean, done: (result: AdmissionResult) => void): void {
    const admitted = this.#try(pod, needsCredentials);
    if (admitted !== undefined) {
      done({ kind: "admitted", admitted });
      return;
    }
    const waiter: Waiter = {
      pod,
      needsCredentials,
      done,
      timer: this.#engine.after(WAIT_MS, () => {
        this.#waiters.delete(waiter);
        done({ kind: "refused", error: this.#missing(pod) });
      }),
    };
    this.#waiters.add(waiter);
  }

  /** The pod's workload; undefined before the first complete state, and while discovery does not know the pod. */
  workloadOf(pod: LocalPod): Workload | undefined {
    if (!this.#isMeshReady) return undefined;
    const uid = `${this.#clusterId}//Pod/${pod.namespace}/${pod.name}` as WorkloadUid;
    const workload = this.#view.workloadByUid(uid);
    return workload?.serviceAccount === pod.serviceAccount ? workload : undefined;
  }

  meshReady(): void {
    this.#isMeshReady = true;
    this.changed();
  }

  /** State or certificates have changed. */
  changed(): void {
    for (const waiter of this.#waiters) {
      const admitted = this.#try(waiter.pod, waiter.needsCredentials);
      if (admitted === undefined) continue;
      this.#waiters.delete(waiter);
      waiter.timer.cancel();
      waiter.done({ kind: "admitted", admitted });
    }
  }

  /** Nobody of this pod waits any longer. */
  forget(pod: LocalPod, error: MeshError): void {
    for (const waiter of this.#waiters) {
      if (waiter.pod.uid !== pod.uid) continue;
      this.#waiters.delete(waiter);
      waiter.timer.cancel();
      waiter.done({ kind: "refused", error });
    }
  }

  #try(pod: LocalPod, needsCredentials: boolean): Admitted | undefined {
    const workload = this.workloadOf(pod);
    if (workload === undefined) return undefined;
    const identity = identityOf(workload);
    if (!needsCredentials) return { workload, identity, credentials: undefined };
    const credentials = this.#credentials.get(identity);
    return credentials === undefined ? undefined : { workload, identity, credentials };
  }

  #missing(pod: LocalPod): MeshError {
    const workload = this.workloadOf(pod);
    if (workload !== undefined) return this.#credentials.unavailable(identityOf(workload));
    const why = this.#isMeshReady ? "discovery does not know it" : "discovery has not answered yet";
    return new MeshError("ZTUNNEL_WORKLOAD_UNKNOWN", `unknown source: pod ${pod.namespace}/${pod.name}: ${why}`);
  }
}
