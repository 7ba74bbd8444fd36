// This node's pods and the labels of namespaces, as the object source last said.
import type { Clock, PodUid } from "@ambit/core";
import type { KubeObject, ObjectChange, ObjectSource } from "@ambit/kube";
import { decideEligibility, type Eligibility, type EligibilityOptions } from "../eligibility.ts";
import { agentError } from "./errors.ts";
import { describePod, isCalled, type Pod, podFromObject } from "./pod.ts";

export interface PodCacheDeps {
  readonly source: ObjectSource;
  readonly clock: Clock;
}

export interface PodCacheOptions {
  readonly nodeName: string;
  readonly eligibility: EligibilityOptions;
}

/** Answers from the source at the moment of asking; nothing is stored twice. */
export class PodCache {
  readonly #deps: PodCacheDeps;
  readonly #options: PodCacheOptions;

  constructor(deps: PodCacheDeps, options: PodCacheOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  list(): readonly Pod[] {
    return this.#deps.source.list("Pod").flatMap((object) => this.#ofThisNode(object) ?? []);
  }

  get(uid: PodUid): Pod | undefined {
    return this.list().find((pod) => pod.uid === uid);
  }

  eligibility(pod: Pod): Eligibility {
    const labels = this.#deps.source.get("Namespace", "", pod.namespace)?.metadata.labels ?? {};
    return decideEligibility(pod, labels, this.#options.eligibility);
  }

  /** Calls back with the UIDs of pods that a change may concern, a namespace's pods included. Returns the way to unsubscribe. */
  subscribe(onChange: (uids: ReadonlySet<PodUid>) => void): () => void {
    return this.#deps.source.subscribe((changes) => {
      const uids = new Set(changes.flatMap((change) => this.#concerned(change)));
      if (uids.size > 0) onChange(uids);
    });
  }

  /**
   * The pod that the runtime is starting. The runtime may be ahead of the object source, so an unknown pod is waited for.
   * @throws CNI_POD_UNKNOWN when it did not appear within `timeoutMs`
   */
  async waitFor(namespace: string, name: string, uid: string, timeoutMs: number): Promise<Pod> {
    const lookUp = () => {
      const object = this.#deps.source.get("Pod", namespace, name);
      const pod = object === undefined ? undefined : this.#ofThisNode(object);
      return pod !== undefined && isCalled(pod, uid) ? pod : undefined;
    };
    const known = lookUp();
    if (known !== undefined) return known;
    return new Promise((resolve, reject) => {
      const timer = this.#deps.clock.after(timeoutMs, () => {
        unsubscribe();
        const called = `${describePod({ namespace, name })}${uid === "" ? "" : ` (UID ${uid})`}`;
        reject(
          agentError("CNI_POD_UNKNOWN", `Pod ${called} is not known on node ${this.#options.nodeName} after ${timeoutMs} ms`),
        );
      });
      const unsubscribe = this.#deps.source.subscribe(() => {
        const pod = lookUp();
        if (pod === undefined) return;
        timer.cancel();
        unsubscribe();
        resolve(pod);
      });
    });
  }

  #concerned(change: ObjectChange): PodUid[] {
    const { object } = change;
    if (object.kind === "Namespace") return this.list().flatMap((pod) => (pod.namespace === object.metadata.name ? pod.uid : []));
    if (object.kind !== "Pod") return [];
    const pod = this.#ofThisNode(object);
    return pod === undefined ? [] : [pod.uid];
  }

  #ofThisNode(object: KubeObject): Pod | undefined {
    const pod = podFromObject(object);
    return pod?.nodeName === this.#options.nodeName ? pod : undefined;
  }
}
