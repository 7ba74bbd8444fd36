// Kubernetes objects: schemas, where they come from, how they are changed.
export * from "./contract.ts";
export * from "./decode.ts";
export * from "./directory-source.ts";
export * from "./directory-writer.ts";
export * from "./errors.ts";
export type {
  Container,
  Deployment,
  EndpointSlice,
  KubeNode,
  KubeService,
  Namespace,
  Pod,
  PodSpec,
  ServiceAccount,
} from "./kinds/core.ts";
export type { Gateway, GatewayClass, ServiceEntry, WorkloadEntry, WorkloadEntrySpec } from "./kinds/networking.ts";
export type {
  AuthorizationPolicy,
  PeerAuthentication,
  PolicyCondition,
  PolicyOperation,
  PolicyRule,
  PolicySource,
} from "./kinds/security.ts";
export { type FileContents, readYamlFile } from "./yaml-file.ts";
