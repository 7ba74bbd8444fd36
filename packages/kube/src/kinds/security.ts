// AuthorizationPolicy and PeerAuthentication. Unknown fields are refused: a misspelt condition would widen a policy in silence.
import { parseCidr } from "@ambit/core";
import { z } from "zod";
import { labelMap, metadata, portText } from "./metadata.ts";

const API_VERSIONS = ["security.istio.io/v1", "security.istio.io/v1beta1"] as const;

const strings = z.array(z.string().min(1, "must not be empty"));
const addressBlocks = z.array(
  z.string().refine((text) => parseCidr(text) !== undefined, "must be an IP address or a block like 10.0.0.0/8"),
);
const ports = z.array(portText);

const serviceAccounts = z
  .array(
    z
      .string()
      .max(320, "must have at most 320 characters")
      .regex(/^[^*/]+(\/[^*/]+)?$/, "must be SERVICE_ACCOUNT or NAMESPACE/SERVICE_ACCOUNT, without wildcards"),
  )
  .max(16, "must list at most 16 service accounts");

const principals = z.array(
  z
    .string()
    .min(1, "must not be empty")
    .refine(
      (text) => !text.startsWith("spiffe://"),
      "is written without the spiffe:// prefix: cluster.local/ns/NAMESPACE/sa/NAME",
    ),
);

const source = z
  .strictObject({
    principals: principals.optional(),
    notPrincipals: principals.optional(),
    requestPrincipals: strings.optional(),
    notRequestPrincipals: strings.optional(),
    namespaces: strings.optional(),
    notNamespaces: strings.optional(),
    serviceAccounts: serviceAccounts.optional(),
    notServiceAccounts: serviceAccounts.optional(),
    ipBlocks: addressBlocks.optional(),
    notIpBlocks: addressBlocks.optional(),
    remoteIpBlocks: addressBlocks.optional(),
    notRemoteIpBlocks: addressBlocks.optional(),
    trustDomains: strings.optional(),
    notTrustDomains: strings.optional(),
  })
  .refine((value) => Object.keys(value).length > 0, "must set at least one field; an empty source would match everybody")
  .refine(
    (value) =>
      (value.serviceAccounts === undefined && value.notServiceAccounts === undefined) ||
      (value.principals === undefined && value.namespaces === undefined),
    "may not combine serviceAccounts with principals or namespaces",
  );

const operation = z
  .strictObject({
    hosts: strings.optional(),
    notHosts: strings.optional(),
    ports: ports.optional(),
    notPorts: ports.optional(),
    methods: strings.optional(),
    notMethods: strings.optional(),
    paths: strings.optional(),
    notPaths: strings.optional(),
  })
  .refine((value) => Object.keys(value).length > 0, "must set at least one field; an empty operation would match everything");

const CONDITION_KEY =
  /^(request\.headers\[.+\]|source\.(ip|namespace|serviceAccount|principal|trustDomain)|remote\.ip|request\.auth\.(principal|audiences|presenter)|request\.auth\.claims(\[[^\]]+\])+|destination\.(ip|port)|connection\.sni|experimental\.envoy\.filters\..+)$/;

const condition = z
  .strictObject({
    key: z
      .string()
      .regex(
        CONDITION_KEY,
        "is not a condition's key; known are source.ip, source.namespace, source.principal, destination.ip, destination.port and the request attributes",
      ),
    values: strings.optional(),
    notValues: strings.optional(),
  })
  .refine(({ values, notValues }) => (values?.length ?? 0) + (notValues?.length ?? 0) > 0, "must have values or notValues")
  .superRefine(({ key, values = [], notValues = [] }, context) => {
    const valid = valueCheckOf(key);
    for (const [field, list] of [
      ["values", values],
      ["notValues", notValues],
    ] as const) {
      for (const [i, value] of list.entries())
        if (valid !== undefined && !valid.test(value))
          context.addIssue({ code: "custom", path: [field, i], message: valid.message });
    }
  });

function valueCheckOf(key: string): { test(value: string): boolean; readonly message: string } | undefined {
  if (key === "source.ip" || key === "destination.ip" || key === "remote.ip") {
    return { test: (value) => parseCidr(value) !== undefined, message: "must be an IP address or a block like 10.0.0.0/8" };
  }
  if (key === "destination.port")
    return { test: (value) => portText.safeParse(value).success, message: "must be a port from 1 to 65535" };
  return undefined;
}

const rule = z.strictObject({
  from: z.array(z.strictObject({ source })).min(1, "must not be empty; leave it out to match every source").optional(),
  to: z.array(z.strictObject({ operation })).min(1, "must not be empty; leave it out to match every operation").optional(),
  when: z.array(condition).optional(),
});

const targetRef = z.strictObject({
  group: z.string().default(""),
  kind: z.enum(["Service", "ServiceEntry", "Gateway", "GatewayClass"], {
    error: "must be Service, ServiceEntry, Gateway or GatewayClass",
  }),
  name: z.string().min(1),
  namespace: z.string().optional(),
});

export const authorizationPolicySchema = z
  .object({
    apiVersion: z.enum(API_VERSIONS),
    kind: z.literal("AuthorizationPolicy"),
    metadata: metadata(true),
    spec: z
      .strictObject({
        selector: z.strictObject({ matchLabels: labelMap.default({}) }).optional(),
        targetRef: targetRef.optional(),
        targetRefs: z.array(targetRef).max(16, "must have at most 16 targets").optional(),
        action: z.enum(["ALLOW", "DENY", "AUDIT", "CUSTOM"], { error: "must be ALLOW, DENY, AUDIT or CUSTOM" }).default("ALLOW"),
        provider: z.strictObject({ name: z.string() }).optional(),
        rules: z.array(rule).max(512, "must have at most 512 rules").optional(),
      })
      .prefault({}),
  })
  .superRefine(({ spec, metadata: { namespace } }, context) => {
    const issue = (path: readonly (string | number)[], message: string) =>
      context.addIssue({ code: "custom", path: ["spec", ...path], message });
    const targets = [spec.selector, spec.targetRef, spec.targetRefs].filter((target) => target !== undefined);
    if (targets.length > 1) issue(["targetRefs"], "only one of selector, targetRef and targetRefs may be set");
    if (spec.action === "CUSTOM" && spec.provider === undefined) issue(["provider"], "is required with action CUSTOM");
    if (spec.action !== "CUSTOM" && spec.provider !== undefined) issue(["provider"], "is only for action CUSTOM");
    if ((spec.action === "DENY" || spec.action === "CUSTOM") && spec.rules === undefined)
      issue(["rules"], `is missing: a ${spec.action} policy without rules never matches`);
    for (const [i, target] of (spec.targetRefs ?? []).entries()) {
      if (target.namespace !== undefined && target.namespace !== namespace)
        issue(["targetRefs", i, "namespace"], "must be the policy's own namespace");
    }
  });

const mtlsMode = z.strictObject({
  mode: z
    .enum(["UNSET", "DISABLE", "PERMISSIVE", "STRICT"], { error: "must be UNSET, DISABLE, PERMISSIVE or STRICT" })
    .default("UNSET"),
});

export const peerAuthenticationSchema = z
  .object({
    apiVersion: z.enum(API_VERSIONS),
    kind: z.literal("PeerAuthentication"),
    metadata: metadata(true),
    spec: z
      .strictObject({
        selector: z.strictObject({ matchLabels: labelMap.default({}) }).optional(),
        mtls: mtlsMode.optional(),
        portLevelMtls: z.record(portText, mtlsMode).optional(),
      })
      .prefault({}),
  })
  .refine(({ spec }) => spec.portLevelMtls === undefined || spec.selector !== undefined, {
    path: ["spec", "portLevelMtls"],
    message: "needs a selector: ports are ports of workloads",
  });

export type AuthorizationPolicy = z.output<typeof authorizationPolicySchema>;
export type PeerAuthentication = z.output<typeof peerAuthenticationSchema>;
export type PolicyRule = z.output<typeof rule>;
export type PolicySource = z.output<typeof source>;
export type PolicyOperation = z.output<typeof operation>;
export type PolicyCondition = z.output<typeof condition>;
