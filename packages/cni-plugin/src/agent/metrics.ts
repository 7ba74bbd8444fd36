// All metrics of the node agent.
import type { Counter, Gauge } from "@ambit/core";
import type { MetricsRegistry } from "@ambit/runtime";

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

/** @source istio cni/pkg/nodeagent/ and cni/pkg/plugin/ for the names without our prefix */
export function createAgentMetrics(registry: MetricsRegistry): AgentMetrics {
  return {
    pluginRequests: registry.counter({
      name: "istio_cni_plugin_requests_total",
      help: "Requests of the CNI plugin by HTTP status.",
      labels: ["response_code"],
    }),
    reconcileEvents: registry.counter({
      name: "nodeagent_reconcile_events_total",
      help: "Pods that were added, removed or deleted while running.",
      labels: ["type"],
    }),
    ztunnelConnected: registry.gauge({ name: "ztunnel_connected", help: "Node proxies connected to the agent.", labels: [] }),
    enrolmentFailures: registry.counter({
      name: "ambit_cni_enrolment_failures_total",
      help: "Failed attempts to bring a pod into the mesh or out of it.",
      labels: ["code"],
    }),
    podsNotEnrolled: registry.gauge({
      name: "ambit_cni_pods_not_enrolled",
      help: "Pods of this node that are not as their labels say.",
      labels: [],
    }),
    podsEnrolled: registry.gauge({
      name: "ambit_cni_pods_enrolled",
      help: "Pods of this node that are in the mesh.",
      labels: [],
    }),
    redirectionDrift: registry.counter({
      name: "ambit_cni_redirection_drift_total",
      help: "Redirection that somebody changed, by what came of it: repaired or failed.",
      labels: ["outcome"],
    }),
  };
}
