// What can be wrong with a message.
import { type ErrorSpec, MeshError } from "@ambit/core";

export type ApiErrorCode = "API_RESOURCE_INVALID" | "API_MESSAGE_UNDECODABLE";

export const apiErrors = {
  API_RESOURCE_INVALID: {
    summary:
      "A discovery resource has a field whose value has no meaning; the resource is refused, the rest of the answer applies.",
    retry: "later",
  },
  API_MESSAGE_UNDECODABLE: { summary: "Bytes that should be a protobuf message are not.", retry: "no" },
} as const satisfies Record<ApiErrorCode, ErrorSpec>;

/** `path` is the field's path in the message, `workload.addresses[1]`. */
export function invalidField(path: string, reason: string): MeshError {
  return new MeshError("API_RESOURCE_INVALID", `${path}: ${reason}`, { details: { path } });
}

/** Runs a protobuf decoder; what it throws becomes API_MESSAGE_UNDECODABLE. */
export function decoding<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    throw new MeshError(
      "API_MESSAGE_UNDECODABLE",
      `Not a ${what} message: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}
