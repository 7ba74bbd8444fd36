// What every object has: names, labels, annotations.
import { z } from "zod";

const DNS_LABEL = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

/** Label and annotation values are strings; numbers and booleans without quotes are a frequent slip, so the message says so. */
const stringMap = z
  .record(z.string(), z.string({ error: "must be a string: put the value in quotes" }))
  .nullish()
  .transform((map) => map ?? {});

export function metadata(namespaced: boolean) {
  return z.object({
    name: z
      .string({ error: "must be the object's name" })
      .regex(DNS_LABEL, "must consist of lower-case letters, digits, '-' and '.'"),
    namespace: namespaced
      ? z.string().regex(DNS_LABEL, "must be a namespace's name").default("default")
      : z
          .unknown()
          .optional()
          .transform(() => ""),
    uid: z.string().optional(),
    labels: stringMap,
    annotations: stringMap,
    creationTimestamp: z
      .string()
      .nullish()
      .transform((text) => text ?? undefined),
    deletionTimestamp: z.string().optional(),
    generation: z.number().optional(),
    resourceVersion: z.string().optional(),
    ownerReferences: z
      .array(z.object({ apiVersion: z.string(), kind: z.string(), name: z.string(), uid: z.string() }))
      .optional(),
  });
}

/** `matchLabels`, the only selector form that mesh policies take. */
export const labelMap = z.record(z.string(), z.string({ error: "must be a string: put the value in quotes" }));

export const port = z
  .int({ error: "must be a port from 1 to 65535" })
  .min(1, "must be a port from 1 to 65535")
  .max(65535, "must be a port from 1 to 65535");

/** A port number as a string, as Istio's policies write it. */
export const portText = z
  .string({ error: 'must be a port in quotes, "9080"' })
  .regex(/^\d{1,5}$/, 'must be a port in quotes, "9080"')
  .refine((text) => Number(text) >= 1 && Number(text) <= 65535, "must be a port from 1 to 65535");
