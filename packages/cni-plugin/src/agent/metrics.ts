// All metrics of the node agent.
import type { Counter, Gauge } from "@ambit/core";

export interface AgentMetrics {
  /** Requests of the plugin by the HTTP status of the answer. */
  readonly pluginRequests: Counter<"response_code">;
  readonly reconcileEvents: Counter<"type">;
  /** Node proxies connected right now. */
  readonly ztunnelConnected: Gauge<never>;
  /** Attempts to enrol or remove a pod that failed, by error code. */
  readonly enrolmentFailures: Counter<"code">;
  /** Pods that belong into the mesh and are not, or not completely, in it. */
  readonly podsNotEnrolled: Gauge<never>;
  readonly podsEnrolled: Gauge<never>;
  /** Redirection found changed by somebody else, and what came of it. */
  readonly redirectionDrift: Counter<"outcome">;
}
