// The pods that are in the mesh on this node, each with its network namespace kept open.
import type { IpAddress, PodUid } from "@ambit/core";
import type { Netns } from "@ambit/linux";
import type { RedirectionSettings } from "./redirection.ts";

export interface EnrolledPod {
  readonly uid: PodUid;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly ips: readonly IpAddress[];
  readonly settings: RedirectionSettings;
  /** Undefined for a pod that was enrolled before the agent started and whose namespace was not found yet. */
  readonly netns: Netns | undefined;
  /** Of the sandbox; empty when the agent did not see its creation. */
  readonly containerId: string;
  /** Rules are in place and the node proxy has acknowledged; nothing is left to do but to say so. */
  readonly complete: boolean;
}

/** One that can be handed to a node proxy. */
export type LocatedPod = EnrolledPod & { readonly netns: Netns };

export function isLocated(pod: EnrolledPod): pod is LocatedPod {
  return pod.netns !== undefined;
}

/** Owns the namespaces of its entries: whoever puts one in gives it away. */
export class PodSnapshot {
  readonly #pods = new Map<PodUid, EnrolledPod>();

  /** Replaces the entry of the same UID; its namespace is closed unless it is the same object. */
  put(pod: EnrolledPod): void {
    const previous = this.#pods.get(pod.uid);
    this.#pods.set(pod.uid, pod);
    if (previous?.netns !== undefined && previous.netns !== pod.netns) previous.netns.close();
  }

  drop(uid: PodUid): void {
    const pod = this.#pods.get(uid);
    this.#pods.delete(uid);
    pod?.netns?.close();
  }

  get(uid: PodUid): EnrolledPod | undefined {
    return this.#pods.get(uid);
  }

  list(): readonly EnrolledPod[] {
    return [...this.#pods.values()];
  }

  findByContainer(containerId: string): EnrolledPod | undefined {
    return containerId === "" ? undefined : this.list().find((pod) => pod.containerId === containerId);
  }

  closeAll(): void {
    for (const uid of [...this.#pods.keys()]) this.drop(uid);
  }
}
