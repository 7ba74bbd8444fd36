// What can go wrong with the lab.
import { type ErrorSpec, MeshError } from "@ambit/core";

export type LabErrorCode =
  | "LAB_NAMESPACES_FORBIDDEN"
  | "LAB_ALREADY_RUNNING"
  | "LAB_NOT_RUNNING"
  | "LAB_DIRECTORY_UNUSABLE"
  | "LAB_START_FAILED"
  | "LAB_OBJECT_REFUSED"
  | "LAB_NOT_FOUND"
  | "LAB_REQUEST_INVALID"
  | "LAB_IMAGE_UNKNOWN"
  | "LAB_ADDRESSES_EXHAUSTED"
  | "LAB_CNI_FAILED"
  | "LAB_PROOF_FAILED"
  | "LAB_DEMO_FAILED"
  | "LAB_TIMED_OUT";

export const labErrors = {
  LAB_NAMESPACES_FORBIDDEN: { summary: "The kernel does not let this user make namespaces.", retry: "no" },
  LAB_ALREADY_RUNNING: { summary: "A lab runs in this state directory already.", retry: "later" },
  LAB_NOT_RUNNING: { summary: "No lab runs in this state directory.", retry: "later" },
  LAB_DIRECTORY_UNUSABLE: { summary: "The state directory belongs to somebody else or its path is too long.", retry: "no" },
  LAB_START_FAILED: { summary: "The lab ended while it was starting.", retry: "no" },
  LAB_OBJECT_REFUSED: { summary: "A manifest is not valid; the message names file, line and reason.", retry: "no" },
  LAB_NOT_FOUND: { summary: "The lab has no such pod, service, component or log.", retry: "no" },
  LAB_REQUEST_INVALID: { summary: "A request to the lab is not one that it understands.", retry: "no" },
  LAB_IMAGE_UNKNOWN: { summary: "A container names an image that the lab cannot start.", retry: "no" },
  LAB_ADDRESSES_EXHAUSTED: { summary: "A node's or the Services' address range is used up.", retry: "later" },
  LAB_CNI_FAILED: { summary: "The CNI plugin refused a pod.", retry: "later" },
  LAB_PROOF_FAILED: { summary: "The request that was to be captured could not be made in the pod.", retry: "later" },
  LAB_DEMO_FAILED: { summary: "A step of the demonstration did not show what it should.", retry: "later" },
  LAB_TIMED_OUT: { summary: "What was waited for did not happen in time.", retry: "later" },
} as const satisfies Record<LabErrorCode, ErrorSpec>;

export function labError(code: LabErrorCode, message: string, cause?: unknown): MeshError {
  return new MeshError(code, message, { cause });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
