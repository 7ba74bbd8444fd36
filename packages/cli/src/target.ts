// TYPE/NAME as kubectl writes it, and which workload or service of the mesh it means.
import type { Service, Workload } from "@ambit/core";
import { cliError } from "./errors.ts";

export type TargetKind = "deploy" | "pod" | "svc" | "sa" | "node" | "ns";

export interface Target {
  readonly kind: TargetKind;
  readonly name: string;
  readonly namespace: string;
  readonly port: number | undefined;
}

const KINDS: Readonly<Record<string, TargetKind>> = {
  deploy: "deploy",
  deployment: "deploy",
  deployments: "deploy",
  pod: "pod",
  pods: "pod",
  po: "pod",
  svc: "svc",
  service: "svc",
  services: "svc",
  sa: "sa",
  serviceaccount: "sa",
  node: "node",
  nodes: "node",
  ns: "ns",
  namespace: "ns",
};

/** `svc/ratings`, `svc/ratings.bookinfo:9080`, `pod/x`, `deploy/reviews-v2`; a dot in a service's or workload's name starts its namespace. */
export function parseTarget(text: string, defaultNamespace: string): Target {
  const match = /^([a-z]+)\/([^:/]+)(?::(\d+))?$/.exec(text);
  const kind = match === null ? undefined : KINDS[match[1] ?? ""];
  if (match === null || kind === undefined) {
    throw cliError(
      "CLI_USAGE",
      `${text} is not TYPE/NAME; types are deploy, pod, svc, sa, node and ns, for example svc/ratings or svc/ratings:9080`,
    );
  }
  const [name = "", namespace = defaultNamespace] = (match[2] ?? "").split(".");
  return { kind, name, namespace, port: match[3] === undefined ? undefined : Number(match[3]) };
}

/** Workloads that the target names; a deployment's pods are recognised by the names its replica set gives them. */
export function findWorkloads(target: Target, workloads: readonly Workload[]): readonly Workload[] {
  const local = workloads.filter((workload) => workload.namespace === target.namespace);
  switch (target.kind) {
    case "pod":
      return local.filter((workload) => workload.name === target.name);
    case "deploy":
      return local.filter((workload) => deploymentOf(workload.name) === target.name || workload.workloadName === target.name);
    case "sa":
      return local.filter((workload) => workload.serviceAccount === target.name);
    case "svc":
    case "node":
    case "ns":
      throw cliError("CLI_USAGE", `${target.kind}/${target.name} does not name a workload; use deploy/, pod/ or sa/`);
  }
}

/** `reviews-v2-7c8b6d5f9-ccccc` → `reviews-v2`. */
export function deploymentOf(podName: string): string | undefined {
  return /^(.+)-[a-z0-9]{4,10}-[a-z0-9]{5}$/.exec(podName)?.[1];
}

export function findService(target: Target, services: readonly Service[]): Service | undefined {
  return services.find((service) => service.namespace === target.namespace && service.name === target.name);
}
