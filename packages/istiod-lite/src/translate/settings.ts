// What translation knows of the mesh besides its objects.
import type { ClusterId, NetworkId } from "@ambit/core";

export interface MeshSettings {
  readonly trustDomain: string;
  readonly clusterId: ClusterId;
  readonly network: NetworkId;
  /** Policies here hold for the whole mesh. */
  readonly rootNamespace: string;
  /** End of Kubernetes service names, `cluster.local`. */
  readonly domain: string;
  /** Whether policies annotated as dry runs are sent: proxies older than Istio 1.29 enforce them. */
  readonly sendDryRun: boolean;
}
