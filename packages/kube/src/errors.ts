// What can go wrong with Kubernetes objects.
import type { ErrorSpec } from "@ambit/core";

export type KubeErrorCode = "KUBE_NOT_FOUND" | "KUBE_OBJECT_INVALID" | "KUBE_STORE_BUSY";

export const kubeErrors = {
  KUBE_NOT_FOUND: { summary: "The object to change does not exist.", retry: "no" },
  KUBE_OBJECT_INVALID: { summary: "The object does not fit its kind's schema; the message names field and reason.", retry: "no" },
  KUBE_STORE_BUSY: { summary: "Another process holds the lock of the watched directory for too long.", retry: "later" },
} as const satisfies Record<KubeErrorCode, ErrorSpec>;
