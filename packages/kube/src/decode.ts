// Any value → an object of a kind we honour, or where and why it is not one.
import type { z } from "zod";
import type { KubeObject, ObjectRef, ObjectSource } from "./contract.ts";
import {
  type Deployment,
  deploymentSchema,
  type EndpointSlice,
  endpointSliceSchema,
  type KubeNode,
  type KubeService,
  type Namespace,
  namespaceSchema,
  nodeSchema,
  type Pod,
  podSchema,
  type ServiceAccount,
  serviceAccountSchema,
  serviceSchema,
} from "./kinds/core.ts";
import {
  type Gateway,
  type GatewayClass,
  gatewayClassSchema,
  gatewaySchema,
  type ServiceEntry,
  serviceEntrySchema,
  type WorkloadEntry,
  workloadEntrySchema,
} from "./kinds/networking.ts";
import {
  type AuthorizationPolicy,
  authorizationPolicySchema,
  type PeerAuthentication,
  peerAuthenticationSchema,
} from "./kinds/security.ts";

export interface KindTypes {
  readonly Namespace: Namespace;
  readonly Node: KubeNode;
  readonly Pod: Pod;
  readonly Service: KubeService;
  readonly EndpointSlice: EndpointSlice;
  readonly ServiceAccount: ServiceAccount;
  readonly Deployment: Deployment;
  readonly AuthorizationPolicy: AuthorizationPolicy;
  readonly PeerAuthentication: PeerAuthentication;
  readonly ServiceEntry: ServiceEntry;
  readonly WorkloadEntry: WorkloadEntry;
  readonly Gateway: Gateway;
  readonly GatewayClass: GatewayClass;
}

export type Kind = keyof KindTypes;

const schemas: Readonly<Record<Kind, z.ZodType>> = {
  Namespace: namespaceSchema,
  Node: nodeSchema,
  Pod: podSchema,
  Service: serviceSchema,
  EndpointSlice: endpointSliceSchema,
  ServiceAccount: serviceAccountSchema,
  Deployment: deploymentSchema,
  AuthorizationPolicy: authorizationPolicySchema,
  PeerAuthentication: peerAuthenticationSchema,
  ServiceEntry: serviceEntrySchema,
  WorkloadEntry: workloadEntrySchema,
  Gateway: gatewaySchema,
  GatewayClass: gatewayClassSchema,
};

const CLUSTER_SCOPED: ReadonlySet<string> = new Set(["Namespace", "Node", "GatewayClass"]);

export type Decoded =
  | { readonly kind: "object"; readonly object: KubeObject }
  /** A kind that this version does not honour. */
  | { readonly kind: "ignored"; readonly ref: ObjectRef }
  | {
      readonly kind: "refused";
      readonly ref: ObjectRef | undefined;
      readonly path: readonly (string | number)[];
      readonly reason: string;
    };

export function decodeObject(value: unknown): Decoded {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { kind: "refused", ref: undefined, path: [], reason: "must be a Kubernetes object" };
  }
  const ref = refOf(value);
  if (ref === undefined) return { kind: "refused", ref, path: ["kind"], reason: "kind and metadata.name are missing" };
  const schema = Object.hasOwn(schemas, ref.kind) ? schemas[ref.kind as Kind] : undefined;
  if (schema === undefined) return { kind: "ignored", ref };
  const parsed = schema.safeParse(value);
  if (parsed.success) return { kind: "object", object: parsed.data as KubeObject };
  const issue = parsed.error.issues[0];
  const path = (issue?.path ?? []) as (string | number)[];
  if (issue?.code === "unrecognized_keys") {
    return {
      kind: "refused",
      ref,
      path: [...path, issue.keys[0] ?? ""],
      reason: "is not a field of this kind; correct its spelling or remove it",
    };
  }
  return { kind: "refused", ref, path, reason: issue?.message ?? "is not valid" };
}

/** Kind, namespace and name, as far as the value has them. */
export function refOf(value: object): ObjectRef | undefined {
  const { kind, metadata } = value as { kind?: unknown; metadata?: { name?: unknown; namespace?: unknown } | null };
  const name = metadata?.name;
  if (typeof kind !== "string" || typeof name !== "string") return undefined;
  const namespace = CLUSTER_SCOPED.has(kind) ? "" : typeof metadata?.namespace === "string" ? metadata.namespace : "default";
  return { kind, namespace, name };
}

/** `$.spec.rules[0].from`. */
export function formatPath(path: readonly (string | number)[]): string {
  return path.reduce<string>((text, part) => (typeof part === "number" ? `${text}[${part}]` : `${text}.${part}`), "$");
}

export function formatRef({ kind, namespace, name }: ObjectRef): string {
  return namespace === "" ? `${kind}/${name}` : `${kind}/${namespace}/${name}`;
}

/** The source's objects of one kind, typed. */
export function listKind<K extends Kind>(source: Pick<ObjectSource, "list">, kind: K): readonly KindTypes[K][] {
  // Every object in a source came through decodeObject with the schema of its kind.
  return source.list(kind) as unknown as readonly KindTypes[K][];
}

export function getKind<K extends Kind>(
  source: Pick<ObjectSource, "get">,
  kind: K,
  namespace: string,
  name: string,
): KindTypes[K] | undefined {
  return source.get(kind, namespace, name) as KindTypes[K] | undefined;
}
