// Why a connection is not carried: the codes of denials, and what each means for logs, metrics and the peer.
import type { ErrorSpec } from "@ambit/core";

export type DecideCode =
  | "DECIDE_RECURSIVE_CALL"
  | "DECIDE_NO_HEALTHY_UPSTREAM"
  | "DECIDE_WAYPOINT_UNKNOWN"
  | "DECIDE_GATEWAY_UNKNOWN"
  | "DECIDE_NO_ADDRESS"
  | "DECIDE_NETWORK_UNREACHABLE"
  | "DECIDE_METHOD_UNSUPPORTED"
  | "DECIDE_AUTHORITY_INVALID"
  | "DECIDE_AUTHORITY_MISMATCH"
  | "DECIDE_WORKLOAD_UNKNOWN"
  | "DECIDE_HOSTNAME_UNKNOWN"
  | "DECIDE_PORT_UNKNOWN"
  | "DECIDE_PORT_RESERVED"
  | "DECIDE_VIP_MISSING"
  | "DECIDE_POLICY_DENIED";

export const decideErrors = {
  DECIDE_RECURSIVE_CALL: { summary: "The application dialled one of the proxy's own ports in its pod", retry: "no" },
  DECIDE_NO_HEALTHY_UPSTREAM: { summary: "The service has no usable endpoint for that port", retry: "later" },
  DECIDE_WAYPOINT_UNKNOWN: { summary: "The destination's waypoint cannot be found; it is never bypassed", retry: "later" },
  DECIDE_GATEWAY_UNKNOWN: { summary: "The gateway of the destination's network cannot be found", retry: "later" },
  DECIDE_NO_ADDRESS: { summary: "The destination has no address of a usable family", retry: "later" },
  DECIDE_NETWORK_UNREACHABLE: { summary: "Only service addresses are reachable in another network", retry: "no" },
  DECIDE_METHOD_UNSUPPORTED: { summary: "The tunnel request is not CONNECT", retry: "no", httpStatus: 400 },
  DECIDE_AUTHORITY_INVALID: {
    summary: "The tunnel's authority is neither address:port nor hostname:port",
    retry: "no",
    httpStatus: 400,
  },
  DECIDE_AUTHORITY_MISMATCH: { summary: "The tunnel's authority is not served by this workload", retry: "no", httpStatus: 400 },
  DECIDE_WORKLOAD_UNKNOWN: { summary: "Discovery has not told us about the local workload", retry: "later", httpStatus: 503 },
  DECIDE_HOSTNAME_UNKNOWN: { summary: "The authority's hostname names no service", retry: "later", httpStatus: 503 },
  DECIDE_PORT_UNKNOWN: { summary: "The service port has no target port on this workload", retry: "later", httpStatus: 503 },
  DECIDE_PORT_RESERVED: { summary: "The target port belongs to the proxy", retry: "no", httpStatus: 503 },
  DECIDE_VIP_MISSING: {
    summary: "The application tunnel needs an address and the service has none",
    retry: "no",
    httpStatus: 503,
  },
  DECIDE_POLICY_DENIED: { summary: "An authorization policy forbids the connection", retry: "no", flag: "DENY", httpStatus: 401 },
} satisfies Record<DecideCode, ErrorSpec>;
