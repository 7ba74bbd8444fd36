// Where Kubernetes objects come from and go to. A watched directory of YAML implements it; an API server will.
import type { MeshError } from "@ambit/core";

/** Any decoded object: identity plus whatever its kind's schema says. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

export interface ObjectMeta {
  readonly name: string;
  /** Empty for cluster-scoped kinds. */
  readonly namespace: string;
  readonly uid?: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly creationTimestamp?: string | undefined;
  readonly deletionTimestamp?: string | undefined;
  readonly generation?: number | undefined;
  readonly resourceVersion?: string | undefined;
  readonly ownerReferences?:
    | readonly { readonly apiVersion: string; readonly kind: string; readonly name: string; readonly uid: string }[]
    | undefined;
}

/** Kinds are named by their plain kind: those we honour have one meaning each. */
export interface ObjectRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export type ObjectChange =
  | { readonly type: "added" | "modified"; readonly object: KubeObject }
  | { readonly type: "deleted"; readonly object: KubeObject };

/** An object (or a document that should be one) that was refused; the last good version of it stays in force. */
export interface ObjectProblem {
  readonly file: string;
  readonly line: number;
  readonly ref: ObjectRef | undefined;
  /** JSON path inside the object, `$.spec.rules[0].from`. */
  readonly path: string;
  readonly reason: string;
}

export interface ObjectSource {
  /** Reads the first complete state, then keeps watching until `signal` aborts. */
  start(signal: AbortSignal): Promise<void>;
  list(kind: string): readonly KubeObject[];
  get(kind: string, namespace: string, name: string): KubeObject | undefined;
  /** Called with every batch of changes after start, in one synchronous call per batch. Returns the way to unsubscribe. */
  subscribe(handler: (changes: readonly ObjectChange[]) => void): () => void;
  problems(): readonly ObjectProblem[];
}

/** Changes objects in place of `kubectl`. Safe against concurrent writers in other processes. */
export interface ObjectWriter {
  /** Creates or replaces the object; `status` and annotations written by others are kept unless given. */
  apply(object: Record<string, unknown>): Promise<void>;
  /** JSON merge patch (RFC 7386). @throws KUBE_NOT_FOUND (a MeshError) */
  patch(ref: ObjectRef, patch: Record<string, unknown>): Promise<void>;
  /** Idempotent. */
  delete(ref: ObjectRef): Promise<void>;
}

export type KubeError = MeshError;
