// Service definitions and message types for the RPC library.
export {
  type IstioCertificateRequest,
  IstioCertificateRequestSchema,
  type IstioCertificateResponse,
  IstioCertificateResponseSchema,
  IstioCertificateService,
} from "./gen/certificate_pb.js";
export {
  AggregatedDiscoveryService,
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  type Node,
  NodeSchema,
  type Resource,
  ResourceSchema,
} from "./gen/discovery_pb.js";
