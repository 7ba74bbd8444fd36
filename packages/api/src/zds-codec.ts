// Packets between node agent and ztunnel. The network namespace's descriptor travels beside a packet, not inside.
import type { PodUid } from "@ambit/core";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { decoding, invalidField } from "./errors.ts";
import { Version, WorkloadRequestSchema, WorkloadResponseSchema, ZdsHelloSchema } from "./gen/zds_pb.js";

export interface PodInfo {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

export type ZdsRequest =
  /** `info` absent is a protocol error that the receiver answers. */
  | { readonly kind: "add"; readonly uid: PodUid; readonly info: PodInfo | undefined }
  | { readonly kind: "keep"; readonly uid: PodUid }
  | { readonly kind: "del"; readonly uid: PodUid }
  | { readonly kind: "snapshotSent" };

export function encodeZdsHello(): Uint8Array {
  return toBinary(ZdsHelloSchema, create(ZdsHelloSchema, { version: Version.V1 }));
}

/** @throws API_MESSAGE_UNDECODABLE, API_RESOURCE_INVALID for a version other than 1 */
export function decodeZdsHello(bytes: Uint8Array): void {
  const { version } = decoding("ZdsHello", () => fromBinary(ZdsHelloSchema, bytes));
  if (version !== Version.V1) throw invalidField("version", `${version} is not 1`);
}

export function encodeZdsRequest(request: ZdsRequest): Uint8Array {
  return toBinary(WorkloadRequestSchema, create(WorkloadRequestSchema, { payload: requestPayload(request) }));
}

function requestPayload(request: ZdsRequest): NonNullable<MessageInitShape<typeof WorkloadRequestSchema>["payload"]> {
  switch (request.kind) {
    case "add":
      return {
        case: "add" as const,
        value: { uid: request.uid, ...(request.info === undefined ? {} : { workloadInfo: { ...request.info } }) },
      };
    case "keep":
      return { case: "keep" as const, value: { uid: request.uid } };
    case "del":
      return { case: "del" as const, value: { uid: request.uid } };
    case "snapshotSent":
      return { case: "snapshotSent" as const, value: {} };
  }
}

/** @throws API_MESSAGE_UNDECODABLE, API_RESOURCE_INVALID when the packet asks for nothing */
export function decodeZdsRequest(bytes: Uint8Array): ZdsRequest {
  const { payload } = decoding("WorkloadRequest", () => fromBinary(WorkloadRequestSchema, bytes));
  switch (payload.case) {
    case "add": {
      const { uid, workloadInfo } = payload.value;
      const info = workloadInfo && {
        name: workloadInfo.name,
        namespace: workloadInfo.namespace,
        serviceAccount: workloadInfo.serviceAccount,
      };
      return { kind: "add", uid: uid as PodUid, info };
    }
    case "keep":
    case "del":
      return { kind: payload.case, uid: payload.value.uid as PodUid };
    case "snapshotSent":
      return { kind: "snapshotSent" };
    case undefined:
      throw invalidField("payload", "is missing");
  }
}

/** An empty error acknowledges. */
export function encodeZdsAck(error: string): Uint8Array {
  return toBinary(WorkloadResponseSchema, create(WorkloadResponseSchema, { payload: { case: "ack", value: { error } } }));
}

/** The error text; empty for success. @throws API_MESSAGE_UNDECODABLE, API_RESOURCE_INVALID */
export function decodeZdsAck(bytes: Uint8Array): string {
  const { payload } = decoding("WorkloadResponse", () => fromBinary(WorkloadResponseSchema, bytes));
  if (payload.case !== "ack") throw invalidField("payload", "is not an ack");
  return payload.value.error;
}
