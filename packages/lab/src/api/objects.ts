// Manifests in place of kubectl: apply, patch, delete.
import { randomUUID } from "node:crypto";
import {
  decodeObject,
  describeProblem,
  formatRef,
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
  readonly source: ObjectSource;
  readonly writer: ObjectWriter;
}

/** All or nothing: a manifest with one bad object changes none. @throws LAB_OBJECT_REFUSED with file, line and reason */
export async function applyManifest(store: Store, { yaml, file, namespace }: ApplyRequest): Promise<readonly AppliedObject[]> {
  const name = /\.(ya?ml|json|jsonl)$/.test(file) ? file : `${file}.yaml`;
  const { problems } = readYamlFile(name, yaml);
  if (problems.length > 0) throw labError("LAB_OBJECT_REFUSED", problems.map(describeProblem).join("\n"));
  const objects = documentsOf(yaml).map((object) => withNamespace(object, namespace));
  if (objects.length === 0) throw labError("LAB_OBJECT_REFUSED", `${file}:1: holds no object`);
  const decoded = objects.map((object) => ({ object, ...refAndResult(object, file) }));
  const namespaces = new Set(decoded.filter(({ ref }) => ref.kind === "Namespace").map(({ ref }) => ref.name));
  for (const { ref } of decoded)
    if (ref.namespace !== "" && !namespaces.has(ref.namespace) && store.source.get("Namespace", "", ref.namespace) === undefined)
      throw labError("LAB_OBJECT_REFUSED", `${file}: ${formatRef(ref)}: there is no namespace ${ref.namespace}`);
  const applied: AppliedObject[] = [];
  for (const { object, ref, ignored } of decoded) {
    const existing = store.source.get(ref.kind, ref.namespace, ref.name);
    await store.writer.apply(keepingAssigned(object, existing));
    applied.push({ ...ref, result: ignored ? "ignored" : existing === undefined ? "created" : "configured" });
  }
  return applied;
}

/** Pods end first; a namespace takes along what is in it. */
export async function deleteObject({ source, writer }: Store, ref: ObjectRef): Promise<void> {
  if (source.get(ref.kind, ref.namespace, ref.name) === undefined)
    throw labError("LAB_NOT_FOUND", `${formatRef(ref)} does not exist`);
  if (ref.kind === "Pod") {
    await writer.patch(ref, { metadata: { deletionTimestamp: new Date().toISOString() } });
    return;
  }
  if (ref.kind === "Namespace") for (const inside of contentsOf(source, ref.name)) await deleteObject({ source, writer }, inside);
  await writer.delete(ref);
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
