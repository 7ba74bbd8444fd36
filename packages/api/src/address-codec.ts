// Address messages <-> workloads and services of the vocabulary.
import type { Service, Workload } from "@ambit/core";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { decoding, invalidField } from "./errors.ts";
import { AddressSchema } from "./gen/workload_pb.js";
import { decodeService, encodeServiceMessage } from "./service-codec.ts";
import { decodeWorkload, encodeWorkloadMessage } from "./workload-codec.ts";

export type AddressResource =
  | { readonly kind: "workload"; readonly workload: Workload }
  | { readonly kind: "service"; readonly service: Service };

/**
 * @throws API_MESSAGE_UNDECODABLE when the bytes are no message, API_RESOURCE_INVALID with the field's path when a value has no meaning
 * @source ztunnel src/state/workload.rs, src/state/service.rs (TryFrom)
 */
export function decodeAddress(bytes: Uint8Array): AddressResource {
  const { type } = decoding("istio.workload.Address", () => fromBinary(AddressSchema, bytes));
  if (type.case === "workload") return { kind: "workload", workload: decodeWorkload(type.value) };
  if (type.case === "service") return { kind: "service", service: decodeService(type.value) };
  throw invalidField("type", "is neither workload nor service");
}

/** Deterministic: equal resources give equal bytes, whatever the order in which their maps were filled. */
export function encodeAddress(resource: AddressResource): Uint8Array {
  const type =
    resource.kind === "workload"
      ? { case: "workload" as const, value: encodeWorkloadMessage(resource.workload) }
      : { case: "service" as const, value: encodeServiceMessage(resource.service) };
  return toBinary(AddressSchema, create(AddressSchema, { type }));
}
