// For tests: metrics that remember what they were told.
import type { AgentMetrics } from "../agent/metrics.ts";

export interface RecordingMetrics extends AgentMetrics {
  /** Sum of a counter over its labels, or the last value of a gauge; 0 when never told anything. */
  value(name: keyof AgentMetrics): number;
}

export function recordingMetrics(): RecordingMetrics {
  const values = new Map<string, number>();
  const counter = (name: string) => ({
    inc: (_labels: unknown, by = 1) => void values.set(name, (values.get(name) ?? 0) + by),
  });
  const gauge = (name: string) => ({ set: (_labels: unknown, value: number) => void values.set(name, value) });
  return {
    pluginRequests: counter("pluginRequests"),
    reconcileEvents: counter("reconcileEvents"),
    ztunnelConnected: gauge("ztunnelConnected"),
    enrolmentFailures: counter("enrolmentFailures"),
    podsNotEnrolled: gauge("podsNotEnrolled"),
    podsEnrolled: gauge("podsEnrolled"),
    redirectionDrift: counter("redirectionDrift"),
    value: (name) => values.get(name) ?? 0,
  };
}
