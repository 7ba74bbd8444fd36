// Everything that translating one workload looks up: namespaces, nodes, waypoints, services and policies, read from the objects once.
import {
  type Authorization,
  type Locality,
  type NamespacedHostname,
  namespacedHostname,
  type PolicyKey,
  policyKey,
} from "@ambit/core";
import { type EndpointSlice, getKind, listKind, type ObjectSource } from "@ambit/kube";
import { allocateAddresses } from "./address-allocation.ts";
import { scopeOf, translateAuthorizationPolicy } from "./authorization-policies.ts";
import { translateKubernetesService } from "./kubernetes-services.ts";
import { type Labels, SERVICE_NAME, selects } from "./labels.ts";
import type { MeshService } from "./mesh-service.ts";
import { PeerAuthentications } from "./peer-authentications.ts";
import { chooseServices } from "./service-conflicts.ts";
import { translateServiceEntry } from "./service-entries.ts";
import type { MeshSettings } from "./settings.ts";
import { type BoundObject, type Waypoint, type WaypointFinder, waypointOf } from "./waypoints.ts";

const REGION = "topology.kubernetes.io/region";
const ZONE = "topology.kubernetes.io/zone";
const SUBZONE = "topology.istio.io/subzone";
export const NO_LOCALITY: Locality = { region: "", zone: "", subzone: "" };

/** A label or policy that is accepted and does not do what it says. */
export interface TranslationProblem {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly reason: string;
}

interface SelectorPolicy {
  readonly key: PolicyKey;
  readonly labels: Labels;
}

/** A snapshot: of the state of the objects when it was made. */
export class MeshContext {
  readonly settings: MeshSettings;
  /** One per namespace and hostname. */
  readonly services: readonly MeshService[];
  readonly policies: readonly Authorization[];
  readonly problems: readonly TranslationProblem[];
  readonly #source: Pick<ObjectSource, "list" | "get">;
  readonly #waypoints: ReadonlyMap<string, Waypoint>;
  readonly #servicesByNamespace: ReadonlyMap<string, readonly MeshService[]>;
  readonly #servicesByKey: ReadonlyMap<NamespacedHostname, MeshService>;
  readonly #selectorPolicies: ReadonlyMap<string, readonly SelectorPolicy[]>;
  readonly #peerAuthentications: PeerAuthentications;
  readonly #slicesByPod: ReadonlyMap<string, readonly EndpointSlice[]>;

  constructor(source: Pick<ObjectSource, "list" | "get">, settings: MeshSettings) {
    this.settings = settings;
    this.#source = source;
    const problems: TranslationProblem[] = [];
    this.#waypoints = this.#readWaypoints();
    this.services = this.#readServices(problems);
    this.#servicesByNamespace = Map.groupBy(this.services, ({ service }) => service.namespace);
    this.#servicesByKey = new Map(
      this.services.map((item) => [namespacedHostname(item.service.namespace, item.service.hostname), item]),
    );
    this.#peerAuthentications = new PeerAuthentications(listKind(source, "PeerAuthentication"), settings.rootNamespace);
    const policies: Authorization[] = [];
    this.#selectorPolicies = this.#readPolicies(policies, problems);
    this.policies = [...policies, ...this.#peerAuthentications.policies()];
    this.#slicesByPod = this.#readSlices();
    this.problems = problems;
  }

  readonly findWaypoint: WaypointFinder = (namespace, name) => this.#waypoints.get(`${namespace}/${name}`);

  servicesIn(namespace: string): readonly MeshService[] {
    return this.#servicesByNamespace.get(namespace) ?? [];
  }

  service(key: NamespacedHostname): MeshService | undefined {
    return this.#servicesByKey.get(key);
  }

  /** Slices that somebody wrote by hand and that point to the pod. */
  slicesOfPod(namespace: string, name: string): readonly EndpointSlice[] {
    return this.#slicesByPod.get(`${namespace}/${name}`) ?? [];
  }

  /** Keys of the policies attached to a workload: those that select it, then those against plaintext. */
  policiesOf(namespace: string, labels: Labels): PolicyKey[] {
    const namespaces = new Set([namespace, this.settings.rootNamespace]);
    const selecting = [...namespaces].flatMap((name) => this.#selectorPolicies.get(name) ?? []);
    const keys = selecting.filter((policy) => selects(policy.labels, labels)).map(({ key }) => key);
    return [...keys.sort(), ...this.#peerAuthentications.policiesOf(namespace, labels)];
  }

  bound(object: { readonly namespace: string; readonly labels: Labels; readonly annotations: Labels }): BoundObject {
    const namespace = getKind(this.#source, "Namespace", "", object.namespace)?.metadata;
    const { labels, annotations } = object;
    return {
      namespace: object.namespace,
      labels,
      annotations,
      namespaceLabels: namespace?.labels ?? {},
      namespaceAnnotations: namespace?.annotations ?? {},
    };
  }

  localityOfNode(name: string): Locality {
    const labels = getKind(this.#source, "Node", "", name)?.metadata.labels;
    if (labels === undefined) return NO_LOCALITY;
    return { region: labels[REGION] ?? "", zone: labels[ZONE] ?? "", subzone: labels[SUBZONE] ?? "" };
  }

  #readWaypoints(): Map<string, Waypoint> {
    const waypoints = new Map<string, Waypoint>();
    for (const gateway of listKind(this.#source, "Gateway")) {
      const gatewayClass = getKind(this.#source, "GatewayClass", "", gateway.spec.gatewayClassName);
      const waypoint = waypointOf(gateway, gatewayClass, this.settings);
      if (waypoint !== undefined) waypoints.set(`${waypoint.namespace}/${waypoint.name}`, waypoint);
    }
    return waypoints;
  }

  #readServices(problems: TranslationProblem[]): MeshService[] {
    const find = this.findWaypoint;
    const kubernetes = listKind(this.#source, "Service").flatMap((object) => {
      const translated = translateKubernetesService(object, this.bound(object.metadata), find, this.settings);
      return translated === undefined ? [] : [translated];
    });
    const objects = listKind(this.#source, "ServiceEntry");
    const allocated = allocateAddresses(objects);
    const entries = objects.flatMap((object) =>
      translateServiceEntry(object, this.bound(object.metadata), find, allocated, this.settings),
    );
    const services = chooseServices([...kubernetes, ...entries]);
    for (const { kind, objectName: name, service, problem } of services)
      if (problem !== undefined) problems.push({ kind, namespace: service.namespace, name, reason: problem });
    return services;
  }

  #readPolicies(policies: Authorization[], problems: TranslationProblem[]): Map<string, SelectorPolicy[]> {
    const selectors: (SelectorPolicy & { readonly namespace: string })[] = [];
    for (const object of listKind(this.#source, "AuthorizationPolicy")) {
      const { namespace, name } = object.metadata;
      const { authorization, problem } = translateAuthorizationPolicy(object, this.settings);
      if (problem !== undefined) problems.push({ kind: "AuthorizationPolicy", namespace, name, reason: problem });
      if (authorization === undefined) continue;
      policies.push(authorization);
      if (scopeOf(object, this.settings.rootNamespace) === "workloadSelector")
        selectors.push({ namespace, key: policyKey(namespace, name), labels: object.spec.selector?.matchLabels ?? {} });
    }
    return Map.groupBy(selectors, ({ namespace }) => namespace);
  }

  #readSlices(): Map<string, EndpointSlice[]> {
    const slices = new Map<string, EndpointSlice[]>();
    for (const slice of listKind(this.#source, "EndpointSlice")) {
      if (slice.metadata.labels[SERVICE_NAME] === undefined) continue;
      for (const { targetRef } of slice.endpoints) {
        if (targetRef?.kind !== "Pod" || targetRef.name === undefined) continue;
        const key = `${slice.metadata.namespace}/${targetRef.name}`;
        slices.set(key, [...(slices.get(key) ?? []), slice]);
      }
    }
    return slices;
  }
}
