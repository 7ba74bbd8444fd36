// Deployments → the pods that should exist.
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { type Deployment, listKind, type ObjectSource, type Pod } from "@ambit/kube";
import type { Write } from "./write.ts";

const HASH_LABEL = "pod-template-hash";
/** Letters and digits that Kubernetes makes names of: none that reads as another, no vowels. */
const NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789";

/** Pods of a new template come up beside the old ones, which go when all new ones are ready. */
export function deploymentWrites(source: Pick<ObjectSource, "list">, newUid: () => string = randomUUID): Write[] {
  const pods = listKind(source, "Pod");
  const deployments = listKind(source, "Deployment");
  const writes = deployments.flatMap((deployment) => writesOf(deployment, pods, newUid));
  const known = new Set(deployments.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
  const orphans = pods.filter((pod) => {
    const owner = ownerOf(pod);
    return owner !== undefined && !known.has(`${pod.metadata.namespace}/${owner}`);
  });
  return [...writes, ...orphans.flatMap(markDeleted)];
}

function writesOf(deployment: Deployment, pods: readonly Pod[], newUid: () => string): Write[] {
  const { name, namespace } = deployment.metadata;
  const hash = templateHash(deployment);
  const own = pods.filter((pod) => pod.metadata.namespace === namespace && ownerOf(pod) === name && !isDeleted(pod));
  const [current, old] = [own.filter((pod) => hashOf(pod) === hash), own.filter((pod) => hashOf(pod) !== hash)];
  const missing = Math.max(0, deployment.spec.replicas - current.length);
  if (missing > 0)
    return Array.from({ length: missing }, (): Write => ({ type: "apply", object: podOf(deployment, hash, newUid()) }));
  // Those that do not work go first.
  const byReadiness = [...current].sort((a, b) => Number(isReady(a)) - Number(isReady(b)));
  const surplus = byReadiness.slice(0, current.length - deployment.spec.replicas);
  const replaced = current.every(isReady) ? old : [];
  return [...surplus, ...replaced].flatMap(markDeleted);
}

function podOf({ metadata, spec }: Deployment, hash: string, uid: string): Record<string, unknown> {
  const { labels, annotations } = spec.template.metadata;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `${metadata.name}-${hash}-${randomName(5)}`,
      namespace: metadata.namespace,
      uid,
      creationTimestamp: new Date().toISOString(),
      labels: { ...labels, [HASH_LABEL]: hash },
      annotations,
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "ReplicaSet", name: `${metadata.name}-${hash}`, uid: `${metadata.name}-${hash}` },
      ],
    },
    spec: spec.template.spec,
    status: { phase: "Pending" },
  };
}

/** The Deployment that a pod belongs to, by its ReplicaSet's name. */
export function ownerOf({ metadata }: Pod): string | undefined {
  const owner = metadata.ownerReferences?.[0];
  const hash = metadata.labels[HASH_LABEL];
  if (owner?.kind !== "ReplicaSet" || hash === undefined || !owner.name.endsWith(`-${hash}`)) return undefined;
  return owner.name.slice(0, -hash.length - 1);
}

export function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") ?? false;
}

export function isDeleted({ metadata }: Pod): boolean {
  return metadata.deletionTimestamp !== undefined;
}

function markDeleted(pod: Pod): Write[] {
  if (isDeleted(pod)) return [];
  const { name, namespace } = pod.metadata;
  return [
    {
      type: "patch",
      ref: { kind: "Pod", namespace, name },
      patch: { metadata: { deletionTimestamp: new Date().toISOString() } },
    },
  ];
}

function hashOf(pod: Pod): string {
  return pod.metadata.labels[HASH_LABEL] ?? "";
}

function templateHash({ spec }: Deployment): string {
  const digest = createHash("sha256").update(JSON.stringify(spec.template)).digest();
  return nameFrom(digest.subarray(0, 10));
}

function randomName(length: number): string {
  return nameFrom(randomBytes(length));
}

function nameFrom(bytes: Uint8Array): string {
  return [...bytes].map((byte) => NAME_ALPHABET[byte % NAME_ALPHABET.length]).join("");
}
