// Settings of a mesh as they are by default.
import type { MeshSettings } from "../translate/settings.ts";

export function meshSettings(changes: Partial<MeshSettings> = {}): MeshSettings {
  return {
    trustDomain: "cluster.local",
    clusterId: "Kubernetes",
    network: "",
    rootNamespace: "istio-system",
    domain: "cluster.local",
    sendDryRun: false,
    ...changes,
  };
}
