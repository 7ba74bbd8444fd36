// Everything that translating one workload looks up.
import type { Locality } from "@ambit/core";
import { getKind, type ObjectSource } from "@ambit/kube";
import type { MeshPolicies } from "./mesh-policies.ts";
import type { MeshServices } from "./mesh-services.ts";
import type { MeshSettings } from "./settings.ts";

export interface MeshContext {
  readonly settings: MeshSettings;
  readonly services: MeshServices;
  readonly policies: MeshPolicies;
  localityOfNode(name: string): Locality;
}

const REGION = "topology.kubernetes.io/region";
const ZONE = "topology.kubernetes.io/zone";
const SUBZONE = "topology.istio.io/subzone";

export const NO_LOCALITY: Locality = { region: "", zone: "", subzone: "" };

/** Where a node stands, by its labels. */
export function localityOfNode(source: Pick<ObjectSource, "get">, name: string): Locality {
  const labels = getKind(source, "Node", "", name)?.metadata.labels;
  if (labels === undefined) return NO_LOCALITY;
  return { region: labels[REGION] ?? "", zone: labels[ZONE] ?? "", subzone: labels[SUBZONE] ?? "" };
}
