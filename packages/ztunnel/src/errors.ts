// What can go wrong in the node proxy itself.
import type { ErrorSpec } from "@ambit/core";

export type ZtunnelErrorCode =
  | "ZTUNNEL_SELF_TEST_FAILED"
  | "ZTUNNEL_ZDS_PROTOCOL"
  | "ZTUNNEL_ZDS_PACKET"
  | "ZTUNNEL_POD_LISTEN_FAILED"
  | "ZTUNNEL_WORKLOAD_UNKNOWN"
  | "ZTUNNEL_IDENTITY_UNAVAILABLE"
  | "ZTUNNEL_POLICY_DENIED"
  | "ZTUNNEL_POLICY_CHANGED"
  | "ZTUNNEL_POD_REMOVED"
  | "ZTUNNEL_DRAINED"
  | "ZTUNNEL_NAME_UNRESOLVED"
  | "ZTUNNEL_WORKERS_SILENT";

export const ztunnelErrors = {
  ZTUNNEL_SELF_TEST_FAILED: { summary: "The process lacks a capability or a C function that it needs", retry: "no" },
  ZTUNNEL_ZDS_PROTOCOL: {
    summary: "The node agent broke the order of its protocol; the process ends and is started anew",
    retry: "no",
  },
  ZTUNNEL_ZDS_PACKET: { summary: "A packet of the node agent could not be read; the connection is made anew", retry: "yes" },
  ZTUNNEL_POD_LISTEN_FAILED: { summary: "Ports could not be opened inside a pod; it is tried again every 5 s", retry: "yes" },
  ZTUNNEL_WORKLOAD_UNKNOWN: { summary: "Discovery does not know the pod that owns the connection", retry: "later" },
  ZTUNNEL_IDENTITY_UNAVAILABLE: {
    summary: "There is no valid certificate for the pod; nothing is sent without one",
    retry: "later",
    flag: "IDENTITY_ERROR",
    httpStatus: 503,
  },
  ZTUNNEL_POLICY_DENIED: { summary: "An authorization policy denies the connection", retry: "no", flag: "DENY", httpStatus: 401 },
  ZTUNNEL_POLICY_CHANGED: { summary: "A policy that arrived later denies the open connection", retry: "no", flag: "DENY" },
  ZTUNNEL_POD_REMOVED: { summary: "The pod left the node or the mesh while the connection was open", retry: "no" },
  ZTUNNEL_DRAINED: { summary: "The proxy stopped and the connection outlived the time for it", retry: "yes" },
  ZTUNNEL_NAME_UNRESOLVED: {
    summary: "The hostname of a workload has no address",
    retry: "later",
    flag: "CONNECT",
    httpStatus: 503,
  },
  ZTUNNEL_WORKERS_SILENT: { summary: "A data-plane thread did not answer the main thread in time", retry: "yes" },
} satisfies Record<ZtunnelErrorCode, ErrorSpec>;
