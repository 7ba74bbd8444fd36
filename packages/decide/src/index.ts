export {
  authorize,
  type PolicySet,
  policiesFor,
  type Verdict,
} from "./authorize.ts";
export * from "./balance.ts";
export { type Decision, formatDecision, type NearMiss, type Reason } from "./decision.ts";
export * from "./errors.ts";
export * from "./explain-authorization.ts";
export * from "./hostnames.ts";
export * from "./inbound-plan.ts";
export { type ConnectionFacts, stringMatches } from "./match.ts";
export * from "./mesh-view.ts";
export * from "./outbound-plan.ts";
export * from "./plan-outbound.ts";
export * from "./reserved-ports.ts";
export * from "./resolve.ts";
