// ServiceEntry, WorkloadEntry, and the Gateways that waypoint references lead to.
import { parseCidr } from "@ambit/core";
import { z } from "zod";
import { labelMap, metadata, port } from "./metadata.ts";

const API_VERSIONS = ["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"] as const;

const workloadEntrySpec = z.strictObject({
  address: z.string().optional(),
  ports: z.record(z.string(), port).optional(),
  labels: labelMap.optional(),
  network: z.string().optional(),
  locality: z.string().optional(),
  weight: z.int().nonnegative().optional(),
  serviceAccount: z.string().optional(),
});

export const workloadEntrySchema = z.object({
  apiVersion: z.enum(API_VERSIONS),
  kind: z.literal("WorkloadEntry"),
  metadata: metadata(true),
  spec: workloadEntrySpec,
});

export const serviceEntrySchema = z
  .object({
    apiVersion: z.enum(API_VERSIONS),
    kind: z.literal("ServiceEntry"),
    metadata: metadata(true),
    spec: z.strictObject({
      hosts: z
        .array(
          z
            .string()
            .min(1)
            .refine((host) => host !== "*", "may not be * alone"),
        )
        .min(1, "must name at least one host")
        .max(256, "must name at most 256 hosts"),
      addresses: z
        .array(z.string().refine((text) => parseCidr(text) !== undefined, "must be an IP address or a block"))
        .max(256)
        .optional(),
      ports: z
        .array(z.strictObject({ number: port, protocol: z.string().optional(), name: z.string(), targetPort: port.optional() }))
        .optional()
        .transform((ports) => ports ?? []),
      location: z.enum(["MESH_EXTERNAL", "MESH_INTERNAL"]).default("MESH_EXTERNAL"),
      resolution: z.enum(["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]).default("NONE"),
      endpoints: z.array(workloadEntrySpec).max(4096).optional(),
      workloadSelector: z.strictObject({ labels: labelMap.default({}) }).optional(),
      exportTo: z.array(z.string()).optional(),
      subjectAltNames: z.array(z.string()).optional(),
    }),
    status: z.object({ addresses: z.array(z.object({ value: z.string(), host: z.string().optional() })).optional() }).optional(),
  })
  .superRefine(({ spec }, context) => {
    if (spec.endpoints !== undefined && spec.workloadSelector !== undefined) {
      context.addIssue({ code: "custom", path: ["spec", "workloadSelector"], message: "may not be combined with endpoints" });
    }
    if (spec.resolution === "NONE" && (spec.endpoints?.length ?? 0) > 0) {
      context.addIssue({
        code: "custom",
        path: ["spec", "endpoints"],
        message: "are not allowed with resolution NONE; use STATIC or DNS",
      });
    }
  });

const GATEWAY_API_VERSIONS = ["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"] as const;

export const gatewaySchema = z.object({
  apiVersion: z.enum(GATEWAY_API_VERSIONS),
  kind: z.literal("Gateway"),
  metadata: metadata(true),
  spec: z.object({
    gatewayClassName: z.string(),
    listeners: z
      .array(
        z.object({
          name: z.string(),
          port,
          protocol: z.string(),
          allowedRoutes: z
            .object({
              namespaces: z
                .object({
                  from: z.enum(["All", "Same", "Selector", "None"]).default("Same"),
                  selector: z.object({ matchLabels: labelMap.optional() }).optional(),
                })
                .optional(),
            })
            .optional(),
        }),
      )
      .default([]),
  }),
  status: z.object({ addresses: z.array(z.object({ type: z.string().optional(), value: z.string() })).optional() }).optional(),
});

export const gatewayClassSchema = z.object({
  apiVersion: z.enum(GATEWAY_API_VERSIONS),
  kind: z.literal("GatewayClass"),
  metadata: metadata(false),
  spec: z.object({ controllerName: z.string() }),
});

export type WorkloadEntry = z.output<typeof workloadEntrySchema>;
export type WorkloadEntrySpec = z.output<typeof workloadEntrySpec>;
export type ServiceEntry = z.output<typeof serviceEntrySchema>;
export type Gateway = z.output<typeof gatewaySchema>;
export type GatewayClass = z.output<typeof gatewayClassSchema>;
