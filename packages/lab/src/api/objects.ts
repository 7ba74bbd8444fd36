// Manifests in place of kubectl: apply, patch, delete.
import { randomUUID } from "node:crypto";
import {
  decodeObject,
  describeProblem,
  formatRef,
  type KubeObject,
  type ObjectRef,
  type ObjectSource,
  type ObjectWriter,
  readYamlFile,
} from "@ambit/kube";
import { parseAllDocuments } from "yaml";
import { labError } from "../errors.ts";
import type { AppliedObject, ApplyRequest } from "./contract.ts";

type RawObject = Record<string, unknown>;

interface Store {
  readonly source: ObjectSource & { refresh(): Promise<void> };
  readonly writer: ObjectWriter;
}

export class Manifests {
  readonly #store: Store;
  /** Labels of the last manifest of each object: what else an object has, somebody else has set. */
  readonly #lastLabels = new Map<string, readonly string[]>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** All or nothing: a manifest with one bad object changes none. @throws LAB_OBJECT_REFUSED with file, line and reason */
  async apply({ yaml, file, namespace }: ApplyRequest): Promise<readonly AppliedObject[]> {
    const name = /\.(ya?ml|json|jsonl)$/.test(file) ? file : `${file}.yaml`;
    const { problems } = readYamlFile(name, yaml);
    if (problems.length > 0) throw labError("LAB_OBJECT_REFUSED", problems.map(describeProblem).join("\n"));
    const objects = documentsOf(yaml).map((object) => withNamespace(object, namespace));
    if (objects.length === 0) throw labError("LAB_OBJECT_REFUSED", `${file}:1: holds no object`);
    const decoded = objects.map((object) => ({ object, ...refAndResult(object, file) }));
    this.#checkNamespaces(
      decoded.map(({ ref }) => ref),
      file,
    );
    const applied: AppliedObject[] = [];
    for (const { object, ref, ignored } of decoded) {
      const existing = this.#store.source.get(ref.kind, ref.namespace, ref.name);
      await this.#store.writer.apply(this.#withOthersLabels(keepingAssigned(object, existing), existing, formatRef(ref)));
      applied.push({ ...ref, result: ignored ? "ignored" : existing === undefined ? "created" : "configured" });
    }
    // The next request may build on what this one has made.
    await this.#store.source.refresh();
    return applied;
  }

  /** Pods end first; a namespace takes along what is in it. @throws LAB_NOT_FOUND */
  async delete(ref: ObjectRef): Promise<void> {
    const { source, writer } = this.#store;
    if (source.get(ref.kind, ref.namespace, ref.name) === undefined)
      throw labError("LAB_NOT_FOUND", `${formatRef(ref)} does not exist`);
    if (ref.kind === "Pod") return writer.patch(ref, { metadata: { deletionTimestamp: new Date().toISOString() } });
    if (ref.kind === "Namespace") for (const inside of contentsOf(source, ref.name)) await this.delete(inside);
    this.#lastLabels.delete(formatRef(ref));
    await writer.delete(ref);
  }

  #checkNamespaces(refs: readonly ObjectRef[], file: string): void {
    const own = new Set(refs.filter(({ kind }) => kind === "Namespace").map(({ name }) => name));
    for (const ref of refs)
      if (ref.namespace !== "" && !own.has(ref.namespace) && this.#store.source.get("Namespace", "", ref.namespace) === undefined)
        throw labError("LAB_OBJECT_REFUSED", `${file}: ${formatRef(ref)}: there is no namespace ${ref.namespace}`);
  }

  /** A namespace that was enrolled by a label stays so when its manifest, which does not know of it, is applied again. */
  #withOthersLabels(object: RawObject, existing: KubeObject | undefined, key: string): RawObject {
    const metadata = (object["metadata"] ?? {}) as RawObject;
    const labels = (metadata["labels"] ?? {}) as RawObject;
    const last = this.#lastLabels.get(key) ?? [];
    this.#lastLabels.set(key, Object.keys(labels));
    const others = Object.entries(existing?.metadata.labels ?? {}).filter(([label]) => !last.includes(label));
    if (others.length === 0) return object;
    return { ...object, metadata: { ...metadata, labels: { ...Object.fromEntries(others), ...labels } } };
  }
}

/** Deployments first, or they would make their pods anew. EndpointSlices follow their Services by themselves. */
const NAMESPACED_KINDS = [
  "Deployment",
  "Pod",
  "Service",
  "ServiceAccount",
  "AuthorizationPolicy",
  "PeerAuthentication",
  "ServiceEntry",
  "WorkloadEntry",
  "Gateway",
];

function contentsOf(source: ObjectSource, namespace: string): ObjectRef[] {
  return NAMESPACED_KINDS.flatMap((kind) =>
    source
      .list(kind)
      .filter(({ metadata }) => metadata.namespace === namespace)
      .map(({ metadata }) => ({ kind, namespace, name: metadata.name })),
  );
}

function documentsOf(yaml: string): RawObject[] {
  const parsed = parseAllDocuments(yaml);
  const values = (Array.isArray(parsed) ? parsed : []).map((document): unknown => document.toJS());
  return values.filter((value): value is RawObject => typeof value === "object" && value !== null);
}

function withNamespace(object: RawObject, namespace: string | undefined): RawObject {
  const metadata = (object["metadata"] ?? {}) as RawObject;
  if (namespace === undefined || metadata["namespace"] !== undefined) return object;
  return { ...object, metadata: { ...metadata, namespace } };
}

function refAndResult(object: RawObject, file: string): { readonly ref: ObjectRef; readonly ignored: boolean } {
  const decoded = decodeObject(object);
  if (decoded.kind === "refused") throw labError("LAB_OBJECT_REFUSED", `${file}: ${decoded.reason}`);
  if (decoded.kind === "ignored") return { ref: decoded.ref, ignored: true };
  const { kind, metadata } = decoded.object;
  return { ref: { kind, namespace: metadata.namespace, name: metadata.name }, ignored: false };
}

/** What the cluster has given to an object stays when its manifest, which does not know of it, is applied again. */
function keepingAssigned(object: RawObject, existing: RawObject | undefined): RawObject {
  const metadata = (object["metadata"] ?? {}) as RawObject;
  const identified = {
    ...object,
    metadata: existing === undefined ? { uid: randomUUID(), creationTimestamp: new Date().toISOString(), ...metadata } : metadata,
  };
  const fields = ASSIGNED_FIELDS[String(object["kind"])] ?? [];
  const before = (existing?.["spec"] ?? {}) as RawObject;
  const kept = Object.fromEntries(fields.flatMap((field) => (before[field] === undefined ? [] : [[field, before[field]]])));
  if (Object.keys(kept).length === 0) return identified;
  return { ...identified, spec: { ...kept, ...(object["spec"] as RawObject | undefined) } };
}

const ASSIGNED_FIELDS: Readonly<Record<string, readonly string[]>> = {
  Service: ["clusterIP", "clusterIPs", "ipFamilies"],
  Pod: ["nodeName"],
};
