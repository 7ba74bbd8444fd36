// For tests: Kubernetes objects in memory, changed by hand or through the writer, with the contract of the real sources.
import { MeshError } from "@ambit/core";
import type { KubeObject, ObjectChange, ObjectRef, ObjectSource, ObjectWriter } from "@ambit/kube";

export interface PodShape {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly node?: string;
  readonly ip?: string;
  readonly phase?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly deleting?: boolean;
}

export class FakeKube implements ObjectSource, ObjectWriter {
  readonly #objects = new Map<string, KubeObject>();
  readonly #handlers = new Set<(changes: readonly ObjectChange[]) => void>();

  async start(): Promise<void> {}

  list(kind: string): readonly KubeObject[] {
    return [...this.#objects.values()].filter((object) => object.kind === kind);
  }

  get(kind: string, namespace: string, name: string): KubeObject | undefined {
    return this.#objects.get(keyOf({ kind, namespace, name }));
  }

  subscribe(handler: (changes: readonly ObjectChange[]) => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  problems(): readonly [] {
    return [];
  }

  async apply(): Promise<void> {
    throw new Error("not used by the agent");
  }

  async patch(ref: ObjectRef, patch: Record<string, unknown>): Promise<void> {
    const object = this.#objects.get(keyOf(ref));
    if (object === undefined) throw new MeshError("KUBE_NOT_FOUND", `${keyOf(ref)} does not exist`);
    this.#set(mergePatch(object, patch) as KubeObject);
  }

  async delete(ref: ObjectRef): Promise<void> {
    const object = this.#objects.get(keyOf(ref));
    if (object === undefined) return;
    this.#objects.delete(keyOf(ref));
    this.#tell({ type: "deleted", object });
  }

  setNamespace(name: string, labels: Readonly<Record<string, string>> = {}): void {
    this.#set({ apiVersion: "v1", kind: "Namespace", metadata: { name, namespace: "", labels, annotations: {} } });
  }

  setPod(pod: PodShape): void {
    const { name, namespace = "default", uid = `uid-${name}`, node = "n1", labels = {}, annotations = {} } = pod;
    const deletion = pod.deleting === true ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {};
    this.#set({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace, uid, labels, annotations, ...deletion },
      spec: { nodeName: node, serviceAccountName: `sa-${name}` },
      status: { phase: pod.phase ?? "Running", ...(pod.ip === undefined ? {} : { podIP: pod.ip, podIPs: [{ ip: pod.ip }] }) },
    });
  }

  annotationsOf(name: string, namespace = "default"): Readonly<Record<string, string>> {
    return this.get("Pod", namespace, name)?.metadata.annotations ?? {};
  }

  #set(object: KubeObject): void {
    const key = keyOf({ kind: object.kind, ...object.metadata });
    const type = this.#objects.has(key) ? "modified" : "added";
    this.#objects.set(key, object);
    this.#tell({ type, object });
  }

  #tell(change: ObjectChange): void {
    for (const handler of [...this.#handlers]) handler([change]);
  }
}

function keyOf({ kind, namespace, name }: ObjectRef): string {
  return `${kind}/${namespace}/${name}`;
}

/** RFC 7386. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = typeof target === "object" && target !== null ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}
