// A pod as the agent sees it: what enrolment, redirection and the node proxy need to know.
import { type IpAddress, type PodUid, parseIp } from "@ambit/core";
import type { KubeObject } from "@ambit/kube";
import type { EnrolmentFacts } from "../eligibility.ts";

export const REDIRECTION_ANNOTATION = "ambient.istio.io/redirection";
export const PROBLEM_ANNOTATION = "ambit.dev/redirection-problem";

export interface Pod extends EnrolmentFacts {
  readonly uid: PodUid;
  readonly name: string;
  readonly serviceAccount: string;
  readonly nodeName: string;
  readonly ips: readonly IpAddress[];
  /** Its containers have ended for good; nothing of it runs. */
  readonly terminated: boolean;
  /** Its deletion was asked for; it may still run for its grace period. */
  readonly deleting: boolean;
}

/** Annotation on the mirror of a static pod: the UID under which the kubelet runs it. */
const MIRROR_ANNOTATION = "kubernetes.io/config.mirror";

/** Undefined for a pod without a UID: nothing can be keyed by it yet. */
export function podFromObject(object: KubeObject): Pod | undefined {
  const uid = object.metadata.uid;
  if (uid === undefined || uid === "") return undefined;
  const spec = record(object["spec"]);
  const status = record(object["status"]);
  const listed = Array.isArray(status["podIPs"]) ? status["podIPs"].map((entry: unknown) => record(entry)["ip"]) : [];
  const ips = [...listed, status["podIP"]].flatMap((text) => (typeof text === "string" ? (parseIp(text) ?? []) : []));
  const phase = status["phase"];
  return {
    uid: uid as PodUid,
    name: object.metadata.name,
    namespace: object.metadata.namespace,
    labels: object.metadata.labels,
    annotations: object.metadata.annotations,
    hostNetwork: spec["hostNetwork"] === true,
    serviceAccount: text(spec["serviceAccountName"]) || "default",
    nodeName: text(spec["nodeName"]),
    ips: [...new Set(ips)],
    deleting: object.metadata.deletionTimestamp !== undefined,
    terminated: phase === "Succeeded" || phase === "Failed",
  };
}

/** The runtime calls a static pod by another UID than the API server does. */
export function isCalled(pod: Pod, uid: string): boolean {
  return uid === "" || pod.uid === uid || pod.annotations[MIRROR_ANNOTATION] === uid;
}

export function describePod(pod: { readonly namespace: string; readonly name: string }): string {
  return `${pod.namespace}/${pod.name}`;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
