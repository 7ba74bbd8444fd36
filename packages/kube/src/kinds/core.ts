// Kubernetes' own kinds, as far as the mesh reads them. Fields that nobody here reads are let through unread: they are the cluster's business.
import { z } from "zod";
import { labelMap, metadata, port } from "./metadata.ts";

const kind = <Kind extends string>(name: Kind, apiVersion: string) => ({
  apiVersion: z.literal(apiVersion),
  kind: z.literal(name),
});

export const namespaceSchema = z.object({ ...kind("Namespace", "v1"), metadata: metadata(false) });

export const nodeSchema = z.object({
  ...kind("Node", "v1"),
  metadata: metadata(false),
  status: z.object({ addresses: z.array(z.object({ type: z.string(), address: z.string() })).optional() }).optional(),
});

export const serviceAccountSchema = z.object({ ...kind("ServiceAccount", "v1"), metadata: metadata(true) });

const environment = z.array(
  z.object({
    name: z.string(),
    value: z.string({ error: "must be a string: put the value in quotes" }).default(""),
    valueFrom: z.object({ fieldRef: z.object({ fieldPath: z.string() }).optional() }).optional(),
  }),
);

const probe = z.object({
  httpGet: z.object({ path: z.string().default("/"), port: z.union([port, z.string()]) }).optional(),
  tcpSocket: z.object({ port: z.union([port, z.string()]) }).optional(),
  initialDelaySeconds: z.number().nonnegative().default(0),
  periodSeconds: z.number().positive().default(10),
  timeoutSeconds: z.number().positive().default(1),
  failureThreshold: z.int().positive().default(3),
});

const container = z.object({
  name: z.string(),
  image: z.string().default(""),
  command: z.array(z.string()).optional(),
  args: z.array(z.string()).optional(),
  env: environment.default([]),
  ports: z.array(z.object({ name: z.string().optional(), containerPort: port, protocol: z.string().default("TCP") })).default([]),
  readinessProbe: probe.optional(),
  livenessProbe: probe.optional(),
});

const podSpec = z.object({
  nodeName: z.string().optional(),
  nodeSelector: labelMap.optional(),
  serviceAccountName: z.string().default("default"),
  hostNetwork: z.boolean().default(false),
  hostname: z.string().optional(),
  subdomain: z.string().optional(),
  terminationGracePeriodSeconds: z.number().nonnegative().optional(),
  containers: z.array(container).min(1, "must have at least one container"),
});

export const podSchema = z.object({
  ...kind("Pod", "v1"),
  metadata: metadata(true),
  spec: podSpec,
  status: z
    .object({
      phase: z.string().optional(),
      podIP: z.string().optional(),
      podIPs: z.array(z.object({ ip: z.string() })).optional(),
      hostIP: z.string().optional(),
      startTime: z.string().optional(),
      conditions: z.array(z.object({ type: z.string(), status: z.string() })).optional(),
      containerStatuses: z.array(z.object({ name: z.string(), ready: z.boolean(), restartCount: z.number() })).optional(),
    })
    .optional(),
});

export const serviceSchema = z.object({
  ...kind("Service", "v1"),
  metadata: metadata(true),
  spec: z.object({
    type: z.string().default("ClusterIP"),
    clusterIP: z.string().optional(),
    clusterIPs: z.array(z.string()).optional(),
    ipFamilies: z.array(z.enum(["IPv4", "IPv6"])).optional(),
    ipFamilyPolicy: z.string().optional(),
    selector: labelMap.nullish().transform((selector) => selector ?? undefined),
    internalTrafficPolicy: z.string().optional(),
    trafficDistribution: z.string().optional(),
    publishNotReadyAddresses: z.boolean().default(false),
    externalName: z.string().optional(),
    ports: z
      .array(
        z.object({
          name: z.string().optional(),
          port,
          targetPort: z.union([port, z.string()]).optional(),
          protocol: z.string().default("TCP"),
          appProtocol: z.string().optional(),
        }),
      )
      .default([]),
  }),
});

export const endpointSliceSchema = z.object({
  ...kind("EndpointSlice", "discovery.k8s.io/v1"),
  metadata: metadata(true),
  addressType: z.enum(["IPv4", "IPv6", "FQDN"]),
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()),
        conditions: z
          .object({ ready: z.boolean().nullish(), serving: z.boolean().nullish(), terminating: z.boolean().nullish() })
          .optional(),
        nodeName: z.string().optional(),
        targetRef: z
          .object({
            kind: z.string().optional(),
            name: z.string().optional(),
            namespace: z.string().optional(),
            uid: z.string().optional(),
          })
          .optional(),
      }),
    )
    .nullish()
    .transform((endpoints) => endpoints ?? []),
  ports: z
    .array(z.object({ name: z.string().nullish(), port: port.nullish(), protocol: z.string().default("TCP") }))
    .nullish()
    .transform((ports) => ports ?? []),
});

export const deploymentSchema = z.object({
  ...kind("Deployment", "apps/v1"),
  metadata: metadata(true),
  spec: z.object({
    replicas: z.int().nonnegative().default(1),
    selector: z.object({ matchLabels: labelMap }),
    template: z.object({
      metadata: z.object({ labels: labelMap.default({}), annotations: labelMap.default({}) }).prefault({}),
      spec: podSpec,
    }),
  }),
});

export type Namespace = z.output<typeof namespaceSchema>;
export type KubeNode = z.output<typeof nodeSchema>;
export type ServiceAccount = z.output<typeof serviceAccountSchema>;
export type Pod = z.output<typeof podSchema>;
export type KubeService = z.output<typeof serviceSchema>;
export type EndpointSlice = z.output<typeof endpointSliceSchema>;
export type Deployment = z.output<typeof deploymentSchema>;
export type PodSpec = z.output<typeof podSpec>;
export type Container = z.output<typeof container>;
