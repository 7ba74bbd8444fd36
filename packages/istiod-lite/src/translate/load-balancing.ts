// How endpoints of a service are chosen, by what its owner and its namespace say.
import type { LoadBalancing, RoutingScope } from "@ambit/core";
import { type Labels, TRAFFIC_DISTRIBUTION } from "./labels.ts";

const SCOPES: Readonly<Record<string, readonly RoutingScope[]>> = {
  preferclose: ["network", "region", "zone"],
  prefersamezone: ["network", "region", "zone"],
  prefersamenode: ["network", "region", "zone", "subzone", "node"],
};

export interface LoadBalancingFacts {
  readonly internalTrafficPolicy?: string | undefined;
  readonly trafficDistribution?: string | undefined;
  readonly annotations: Labels;
  readonly namespaceAnnotations: Labels;
  readonly publishNotReadyAddresses: boolean;
}

/** Undefined: any healthy endpoint. @source istio pilot/pkg/serviceregistry/ambient/services.go */
export function loadBalancingOf(facts: LoadBalancingFacts): LoadBalancing | undefined {
  const healthPolicy = facts.publishNotReadyAddresses ? "allowAll" : "onlyHealthy";
  if (facts.internalTrafficPolicy === "Local") return { routingPreference: ["node"], mode: "strict", healthPolicy };
  const preference = SCOPES[distributionOf(facts)];
  if (preference !== undefined) return { routingPreference: preference, mode: "failover", healthPolicy };
  return facts.publishNotReadyAddresses ? { routingPreference: [], mode: "unspecified", healthPolicy } : undefined;
}

/** The spec's field only with exactly the names of Kubernetes; any text in the service's annotation hides the namespace's. */
function distributionOf({ trafficDistribution, annotations, namespaceAnnotations }: LoadBalancingFacts): string {
  const inSpec = (trafficDistribution ?? "").toLowerCase();
  if (Object.hasOwn(SCOPES, inSpec)) return inSpec;
  const text = annotations[TRAFFIC_DISTRIBUTION] || namespaceAnnotations[TRAFFIC_DISTRIBUTION] || "";
  const word = text.toLowerCase();
  return Object.hasOwn(SCOPES, word) ? word : "";
}
