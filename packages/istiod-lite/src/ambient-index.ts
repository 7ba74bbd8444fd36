// Kubernetes objects → resources of discovery, kept up to date: a batch of changes leads to the names of the resources that differ.
import { ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL } from "@ambit/api";
import { formatRef, getKind, type KubeObject, type ObjectChange, type ObjectSource } from "@ambit/kube";
import { authorizationResource, type Resource, type ResourceTypeUrl, serviceResource, workloadResource } from "./resource.ts";
import { ResourceTable } from "./resource-table.ts";
import { translateEndpointSlice } from "./translate/endpoint-slices.ts";
import { MeshContext, type TranslationProblem } from "./translate/mesh-context.ts";
import { translatePod } from "./translate/pods.ts";
import type { MeshSettings } from "./translate/settings.ts";
import { translateInlineEndpoints, translateWorkloadEntry } from "./translate/workload-entries.ts";

/** Names of resources that were added, changed or removed, by type. */
export type ChangedNames = ReadonlyMap<ResourceTypeUrl, ReadonlySet<string>>;

/** Kinds whose objects are workloads themselves. */
const WORKLOAD_KINDS = ["Pod", "WorkloadEntry", "ServiceEntry", "EndpointSlice"] as const;
/** A change touches nothing but the object's own workloads. */
const ONLY_ITSELF: ReadonlySet<string> = new Set(["Pod", "WorkloadEntry"]);
/** A change may touch any workload of the object's namespace. */
const ITS_NAMESPACE: ReadonlySet<string> = new Set([
  "Service",
  "ServiceEntry",
  "EndpointSlice",
  "AuthorizationPolicy",
  "PeerAuthentication",
]);
/** A change may touch any workload. Every other kind (and these, in the root namespace, of policies) means nothing to the data plane. */
const EVERYTHING: ReadonlySet<string> = new Set(["Namespace", "Node", "Gateway", "GatewayClass"]);

export class AmbientIndex {
  readonly #source: ObjectSource;
  readonly #settings: MeshSettings;
  readonly #tables: ReadonlyMap<ResourceTypeUrl, ResourceTable> = new Map([
    [ADDRESS_TYPE_URL, new ResourceTable()],
    [AUTHORIZATION_TYPE_URL, new ResourceTable()],
  ]);
  readonly #handlers = new Set<(changed: ChangedNames) => void>();
  /** Names of the workloads that each object became. */
  readonly #workloadsOf = new Map<string, readonly string[]>();
  #context: MeshContext | undefined;

  constructor(source: ObjectSource, settings: MeshSettings) {
    this.#source = source;
    this.#settings = settings;
  }

  /** Takes over what the source holds, then follows it. Returns the way to stop. */
  start(): () => void {
    this.rebuild();
    return this.#source.subscribe((changes) => this.apply(changes));
  }

  table(typeUrl: ResourceTypeUrl): ResourceTable {
    const table = this.#tables.get(typeUrl);
    if (table === undefined) throw new RangeError(`No resources of type ${typeUrl}`);
    return table;
  }

  /** Resources of all types. */
  get size(): number {
    return [...this.#tables.values()].reduce((total, table) => total + table.size, 0);
  }

  /** Labels and policies that are accepted and do not do what they say. */
  problems(): readonly TranslationProblem[] {
    return this.#context?.problems ?? [];
  }

  /** Called once for each batch that makes a difference. Returns the way to unsubscribe. */
  onChange(handler: (changed: ChangedNames) => void): () => void {
    this.#handlers.add(handler);
    return () => void this.#handlers.delete(handler);
  }

  rebuild(): void {
    this.#context = undefined;
    const stale = new Set(this.#workloadsOf.keys());
    for (const object of this.#workloadObjects(() => true)) stale.add(formatRef(refOf(object)));
    this.#recompute(stale, true);
  }

  /** Recomputes what the changes may have touched. */
  apply(changes: readonly ObjectChange[]): void {
    const scope = scopeOf(changes, this.#settings.rootNamespace);
    if (scope === undefined) return;
    if (scope.shared) this.#context = undefined;
    if (scope.everything) {
      this.rebuild();
      return;
    }
    const stale = new Set(changes.map(({ object }) => formatRef(refOf(object))));
    if (scope.namespaces.size > 0)
      for (const object of this.#workloadObjects((namespace) => scope.namespaces.has(namespace)))
        stale.add(formatRef(refOf(object)));
    this.#recompute(stale, scope.shared);
  }

  /** @param shared whether services and policies may have changed too */
  #recompute(stale: ReadonlySet<string>, shared: boolean): void {
    this.#context ??= new MeshContext(this.#source, this.#settings);
    const context = this.#context;
    const changed = new Map<ResourceTypeUrl, Set<string>>();
    const gone = new Set<string>();
    for (const key of stale) {
      const resources = this.#translate(key, context);
      const before = this.#workloadsOf.get(key) ?? [];
      for (const name of before) gone.add(name);
      for (const resource of resources) {
        gone.delete(resource.name);
        this.#put(resource, changed);
      }
      if (resources.length > 0)
        this.#workloadsOf.set(
          key,
          resources.map(({ name }) => name),
        );
      else this.#workloadsOf.delete(key);
    }
    if (shared) this.#recomputeShared(context, changed, gone);
    this.#remove(ADDRESS_TYPE_URL, gone, changed);
    if (changed.size > 0) for (const handler of this.#handlers) handler(changed);
  }

  #recomputeShared(context: MeshContext, changed: Map<ResourceTypeUrl, Set<string>>, goneAddresses: Set<string>): void {
    const services = context.services.map(({ service }) => serviceResource(service));
    const serviceNames = new Set(services.map(({ name }) => name));
    for (const { name, value } of this.table(ADDRESS_TYPE_URL).values())
      if ("kind" in value && value.kind === "service" && !serviceNames.has(name)) goneAddresses.add(name);
    for (const resource of services) this.#put(resource, changed);
    const policies = context.policies.map(authorizationResource);
    const policyNames = new Set(policies.map(({ name }) => name));
    const gonePolicies = new Set([...this.table(AUTHORIZATION_TYPE_URL).names()].filter((name) => !policyNames.has(name)));
    for (const resource of policies) this.#put(resource, changed);
    this.#remove(AUTHORIZATION_TYPE_URL, gonePolicies, changed);
  }

  /** An equal result stops here. */
  #put(resource: Resource, changed: Map<ResourceTypeUrl, Set<string>>): void {
    const table = this.table(resource.typeUrl);
    if (table.get(resource.name)?.version === resource.version) return;
    table.set(resource);
    note(changed, resource.typeUrl, resource.name);
  }

  #remove(typeUrl: ResourceTypeUrl, names: ReadonlySet<string>, changed: Map<ResourceTypeUrl, Set<string>>): void {
    const table = this.table(typeUrl);
    for (const name of names) {
      if (table.get(name) === undefined) continue;
      table.delete(name);
      note(changed, typeUrl, name);
    }
  }

  /** The workloads of one object; none when it is gone. */
  #translate(key: string, context: MeshContext): Resource[] {
    const [kind = "", namespace = "", name = ""] = key.split("/");
    switch (kind) {
      case "Pod": {
        const pod = getKind(this.#source, "Pod", namespace, name);
        const workload = pod === undefined ? undefined : translatePod(pod, context);
        return workload === undefined ? [] : [workloadResource(workload)];
      }
      case "WorkloadEntry": {
        const entry = getKind(this.#source, "WorkloadEntry", namespace, name);
        return entry === undefined ? [] : [workloadResource(translateWorkloadEntry(entry, context))];
      }
      case "ServiceEntry": {
        const entry = getKind(this.#source, "ServiceEntry", namespace, name);
        return entry === undefined ? [] : translateInlineEndpoints(entry, context).map(workloadResource);
      }
      case "EndpointSlice": {
        const slice = getKind(this.#source, "EndpointSlice", namespace, name);
        return slice === undefined ? [] : translateEndpointSlice(slice, context).map(workloadResource);
      }
      default:
        return [];
    }
  }

  *#workloadObjects(inScope: (namespace: string) => boolean): Generator<KubeObject> {
    for (const kind of WORKLOAD_KINDS)
      for (const object of this.#source.list(kind)) if (inScope(object.metadata.namespace)) yield object;
  }
}

interface ChangeScope {
  readonly everything: boolean;
  /** Services, policies and waypoints have to be read again. */
  readonly shared: boolean;
  readonly namespaces: ReadonlySet<string>;
}

/** Undefined when the changes mean nothing to the data plane. */
function scopeOf(changes: readonly ObjectChange[], rootNamespace: string): ChangeScope | undefined {
  const namespaces = new Set<string>();
  let everything = false;
  let own = false;
  for (const { object } of changes) {
    const { kind, metadata } = object;
    const isRootPolicy =
      metadata.namespace === rootNamespace && (kind === "AuthorizationPolicy" || kind === "PeerAuthentication");
    if (EVERYTHING.has(kind) || isRootPolicy) everything = true;
    else if (ITS_NAMESPACE.has(kind)) namespaces.add(metadata.namespace);
    else if (ONLY_ITSELF.has(kind)) own = true;
  }
  const shared = everything || namespaces.size > 0;
  return shared || own ? { everything, shared, namespaces } : undefined;
}

function refOf({ kind, metadata }: KubeObject) {
  return { kind, namespace: metadata.namespace, name: metadata.name };
}

function note(changed: Map<ResourceTypeUrl, Set<string>>, typeUrl: ResourceTypeUrl, name: string): void {
  const names = changed.get(typeUrl) ?? new Set();
  changed.set(typeUrl, names.add(name));
}
