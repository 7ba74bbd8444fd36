// All services of the mesh, and the waypoints that they and workloads are bound to.
import { type NamespacedHostname, namespacedHostname } from "@ambit/core";
import { type EndpointSlice, getKind, listKind, type ObjectSource } from "@ambit/kube";
import { allocateAddresses } from "./address-allocation.ts";
import { translateKubernetesService } from "./kubernetes-services.ts";
import { type Labels, SERVICE_NAME } from "./labels.ts";
import type { MeshService } from "./mesh-service.ts";
import type { TranslationProblem } from "./problem.ts";
import { chooseServices } from "./service-conflicts.ts";
import { translateServiceEntry } from "./service-entries.ts";
import type { MeshSettings } from "./settings.ts";
import { type BoundObject, type Waypoint, type WaypointFinder, waypointOf } from "./waypoints.ts";

/** A snapshot: of the state of the objects when it was made. */
export class MeshServices {
  /** One per namespace and hostname. */
  readonly services: readonly MeshService[];
  readonly problems: readonly TranslationProblem[];
  readonly #source: Pick<ObjectSource, "list" | "get">;
  readonly #settings: MeshSettings;
  readonly #waypoints: ReadonlyMap<string, Waypoint>;
  readonly #byNamespace: ReadonlyMap<string, readonly MeshService[]>;
  readonly #byKey: ReadonlyMap<NamespacedHostname, MeshService>;
  readonly #slicesByPod: ReadonlyMap<string, readonly EndpointSlice[]>;

  constructor(source: Pick<ObjectSource, "list" | "get">, settings: MeshSettings) {
    this.#source = source;
    this.#settings = settings;
    this.#waypoints = this.#readWaypoints();
    this.services = this.#readServices();
    this.#byNamespace = Map.groupBy(this.services, ({ service }) => service.namespace);
    this.#byKey = new Map(this.services.map((item) => [namespacedHostname(item.service.namespace, item.service.hostname), item]));
    this.#slicesByPod = this.#readSlices();
    this.problems = this.services.flatMap(({ kind, objectName: name, service: { namespace }, problem: reason }) =>
      reason === undefined ? [] : [{ kind, namespace, name, reason }],
    );
  }

  readonly findWaypoint: WaypointFinder = (namespace, name) => this.#waypoints.get(`${namespace}/${name}`);

  inNamespace(namespace: string): readonly MeshService[] {
    return this.#byNamespace.get(namespace) ?? [];
  }

  byKey(key: NamespacedHostname): MeshService | undefined {
    return this.#byKey.get(key);
  }

  /** Slices that name the pod. */
  slicesOfPod(namespace: string, name: string): readonly EndpointSlice[] {
    return this.#slicesByPod.get(`${namespace}/${name}`) ?? [];
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

  #readWaypoints(): Map<string, Waypoint> {
    const waypoints = new Map<string, Waypoint>();
    for (const gateway of listKind(this.#source, "Gateway")) {
      const gatewayClass = getKind(this.#source, "GatewayClass", "", gateway.spec.gatewayClassName);
      const waypoint = waypointOf(gateway, gatewayClass, this.#settings);
      if (waypoint !== undefined) waypoints.set(`${waypoint.namespace}/${waypoint.name}`, waypoint);
    }
    return waypoints;
  }

  #readServices(): MeshService[] {
    const kubernetes = listKind(this.#source, "Service").flatMap((object) => {
      const translated = translateKubernetesService(object, this.bound(object.metadata), this.findWaypoint, this.#settings);
      return translated === undefined ? [] : [translated];
    });
    const objects = listKind(this.#source, "ServiceEntry");
    const allocated = allocateAddresses(objects);
    const entries = objects.flatMap((object) =>
      translateServiceEntry(object, this.bound(object.metadata), this.findWaypoint, allocated, this.#settings),
    );
    return chooseServices([...kubernetes, ...entries]);
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
