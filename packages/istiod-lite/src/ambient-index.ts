// Kubernetes objects → resources of discovery, kept up to date: a batch of changes leads to the names of the resources that differ.
import { ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL } from "@ambit/api";
import { formatRef, getKind, type KubeObject, listKind, type ObjectChange, type ObjectSource } from "@ambit/kube";
import { authorizationResource, type Resource, type ResourceTypeUrl, serviceResource, workloadResource } from "./resource.ts";
import { ResourceTable } from "./resource-table.ts";
import { translateEndpointSlice } from "./translate/endpoint-slices.ts";
import { localityOfNode, type MeshContext } from "./translate/mesh-context.ts";
import { MeshPolicies } from "./translate/mesh-policies.ts";
import { MeshServices } from "./translate/mesh-services.ts";
import { translatePod, waypointProblem } from "./translate/pods.ts";
import type { TranslationProblem } from "./translate/problem.ts";
import type { MeshSettings } from "./translate/settings.ts";
import { translateInlineEndpoints, translateWorkloadEntry } from "./translate/workload-entries.ts";

/** Names of resources that were added, changed or removed, by type. */
export type ChangedNames = ReadonlyMap<ResourceTypeUrl, ReadonlySet<string>>;

/** Kinds whose objects are workloads themselves. */
const WORKLOAD_KINDS = ["Pod", "WorkloadEntry", "ServiceEntry", "EndpointSlice"] as const;
/** Which workloads a change of an object may touch; kinds that are not here mean nothing to the data plane. */
const REACH: Readonly<Record<string, "itself" | "namespace" | "everything">> = {
  Pod: "itself",
  WorkloadEntry: "itself",
  Service: "namespace",
  ServiceEntry: "namespace",
  EndpointSlice: "namespace",
  AuthorizationPolicy: "namespace",
  PeerAuthentication: "namespace",
  Namespace: "everything",
  Node: "everything",
  Gateway: "everything",
  GatewayClass: "everything",
};
const POLICY_KINDS: ReadonlySet<string> = new Set(["AuthorizationPolicy", "PeerAuthentication"]);
const SERVICE_KINDS: ReadonlySet<string> = new Set([
  "Service",
  "ServiceEntry",
  "EndpointSlice",
  "Namespace",
  "Gateway",
  "GatewayClass",
]);

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
  /** Both are made anew when one of their objects has changed. */
  #services: MeshServices | undefined;
  #policies: MeshPolicies | undefined;

  constructor(source: ObjectSource, settings: MeshSettings) {
    this.#source = source;
    this.#settings = settings;
  }

  /** Reads the source, then follows it. Returns the way to stop. */
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
    const [services, policies] = [this.#services, this.#policies];
    if (services === undefined || policies === undefined) return [];
    const pods = listKind(this.#source, "Pod").flatMap((pod) => waypointProblem(pod, services) ?? []);
    return [...services.problems, ...policies.problems, ...pods];
  }

  /** Called once for each batch that makes a difference. Returns the way to unsubscribe. */
  onChange(handler: (changed: ChangedNames) => void): () => void {
    this.#handlers.add(handler);
    return () => void this.#handlers.delete(handler);
  }

  /** Takes over what the source holds. Nobody is told: whoever asks from now on is told everything. */
  rebuild(): void {
    this.#services = undefined;
    this.#policies = undefined;
    const stale = new Set(this.#workloadsOf.keys());
    for (const object of this.#workloadObjects(() => true)) stale.add(formatRef(refOf(object)));
    this.#recompute(stale);
  }

  /** Recomputes what the changes may have touched. */
  apply(changes: readonly ObjectChange[]): void {
    const { kinds, everything, namespaces } = scopeOf(changes, this.#settings.rootNamespace);
    if (kinds.size === 0) return;
    if (!kinds.isDisjointFrom(SERVICE_KINDS)) this.#services = undefined;
    if (!kinds.isDisjointFrom(POLICY_KINDS)) this.#policies = undefined;
    const stale = new Set(changes.map(({ object }) => formatRef(refOf(object))));
    if (everything || namespaces.size > 0)
      for (const object of this.#workloadObjects((namespace) => everything || namespaces.has(namespace)))
        stale.add(formatRef(refOf(object)));
    const changed = this.#recompute(stale);
    if (changed.size > 0) for (const handler of this.#handlers) handler(changed);
  }

  #recompute(stale: ReadonlySet<string>): ChangedNames {
    const changed = new Map<ResourceTypeUrl, Set<string>>();
    const gone = new Set<string>();
    const context = this.#readShared(changed, gone);
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
    this.#remove(ADDRESS_TYPE_URL, gone, changed);
    return changed;
  }

  /** Services and policies, read again if they may have changed; `gone` gets the services that are no more. */
  #readShared(changed: Map<ResourceTypeUrl, Set<string>>, gone: Set<string>): MeshContext {
    if (this.#services === undefined) {
      this.#services = new MeshServices(this.#source, this.#settings);
      const resources = this.#services.services.map(({ service }) => serviceResource(service));
      for (const { name, value } of this.table(ADDRESS_TYPE_URL).values())
        if ("kind" in value && value.kind === "service") gone.add(name);
      for (const { name } of resources) gone.delete(name);
      for (const resource of resources) this.#put(resource, changed);
    }
    if (this.#policies === undefined) {
      this.#policies = new MeshPolicies(this.#source, this.#settings);
      const resources = this.#policies.policies.map(authorizationResource);
      const names = new Set(this.table(AUTHORIZATION_TYPE_URL).names());
      for (const { name } of resources) names.delete(name);
      for (const resource of resources) this.#put(resource, changed);
      this.#remove(AUTHORIZATION_TYPE_URL, names, changed);
    }
    return {
      settings: this.#settings,
      services: this.#services,
      policies: this.#policies,
      localityOfNode: (name) => localityOfNode(this.#source, name),
    };
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
  /** Kinds among the changes that mean something to the data plane. */
  readonly kinds: ReadonlySet<string>;
  readonly everything: boolean;
  readonly namespaces: ReadonlySet<string>;
}

function scopeOf(changes: readonly ObjectChange[], rootNamespace: string): ChangeScope {
  const kinds = new Set<string>();
  const namespaces = new Set<string>();
  let everything = false;
  for (const { object } of changes) {
    const { kind, metadata } = object;
    const reach = REACH[kind];
    if (reach === undefined) continue;
    kinds.add(kind);
    const isRootPolicy = metadata.namespace === rootNamespace && POLICY_KINDS.has(kind);
    if (reach === "everything" || isRootPolicy) everything = true;
    else if (reach === "namespace") namespaces.add(metadata.namespace);
  }
  return { kinds, everything, namespaces };
}

function refOf({ kind, metadata }: KubeObject) {
  return { kind, namespace: metadata.namespace, name: metadata.name };
}

function note(changed: Map<ResourceTypeUrl, Set<string>>, typeUrl: ResourceTypeUrl, name: string): void {
  const names = changed.get(typeUrl) ?? new Set();
  changed.set(typeUrl, names.add(name));
}
