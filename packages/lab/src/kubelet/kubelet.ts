// The kubelets of all nodes: a worker for every pod that is bound to a node.
import { isDeepStrictEqual } from "node:util";
import { listKind, type Pod } from "@ambit/kube";
import { isDeleted } from "../controllers/deployments.ts";
import { labError } from "../errors.ts";
import type { LabNode } from "../network/plan.ts";
import { type KubeletDeps, PodWorker } from "./pod-worker.ts";

/** Pods with this annotation stand for processes that the lab itself runs. */
export const COMPONENT_ANNOTATION = "lab.ambit.dev/component";

interface Entry {
  readonly worker: PodWorker;
  readonly pod: Pod;
  ending: Promise<void> | undefined;
}

export class Kubelet {
  readonly #deps: KubeletDeps;
  readonly #nodes: ReadonlyMap<string, LabNode>;
  readonly #entries = new Map<string, Entry>();
  #stopped = false;

  constructor(deps: KubeletDeps, nodes: readonly LabNode[]) {
    this.#deps = deps;
    this.#nodes = new Map(nodes.map((node) => [node.name, node]));
  }

  /** Starts workers of new pods, ends those of deleted ones; what takes time goes on by itself. */
  reconcile(): void {
    if (this.#stopped) return;
    const pods = listKind(this.#deps.source, "Pod").filter(
      ({ metadata }) => metadata.annotations[COMPONENT_ANNOTATION] === undefined,
    );
    const present = new Map(pods.map((pod) => [keyOf(pod), pod]));
    for (const [key, entry] of this.#entries) {
      const pod = present.get(key);
      if (pod === undefined || isDeleted(pod)) this.#end(key, entry);
    }
    for (const [key, pod] of present) {
      if (this.#entries.has(key)) continue;
      const node = this.#nodes.get(pod.spec.nodeName ?? "");
      if (isDeleted(pod)) void this.#forget(pod);
      else if (node !== undefined && pod.metadata.uid !== undefined && !pod.spec.hostNetwork) this.#begin(key, pod, node);
    }
  }

  /** @throws LAB_NOT_FOUND when the pod does not run */
  worker(namespace: string, name: string): PodWorker {
    for (const { worker, pod } of this.#entries.values())
      if (pod.metadata.namespace === namespace && pod.metadata.name === name && worker.sandbox !== undefined) return worker;
    throw labError("LAB_NOT_FOUND", `No pod ${name} runs in namespace ${namespace}; ambit status lists the pods`);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#entries.values()].map(({ worker, ending }) => ending ?? worker.stop()));
  }

  #begin(key: string, pod: Pod, node: LabNode): void {
    const worker = new PodWorker(this.#deps, pod, node);
    this.#entries.set(key, { worker, pod, ending: undefined });
    worker.start();
  }

  #end(key: string, entry: Entry): void {
    entry.ending ??= entry.worker
      .stop()
      .then(() => this.#forget(entry.pod))
      .catch((error: unknown) => this.#deps.logger.error("A pod could not be ended cleanly", { pod: key, error }))
      .finally(() => this.#entries.delete(key));
  }

  /** The object goes last, when nothing runs any more; one that was made anew under the same name stays. */
  async #forget({ metadata }: Pod): Promise<void> {
    const { source, writer } = this.#deps;
    const { namespace, name, uid } = metadata;
    const present = source.get("Pod", namespace, name);
    if (present !== undefined && isDeepStrictEqual(present.metadata.uid, uid))
      await writer.delete({ kind: "Pod", namespace, name });
  }
}

function keyOf({ metadata }: Pod): string {
  return `${metadata.namespace}/${metadata.name}/${metadata.uid ?? ""}`;
}
