// Facts about a workload in one header, for the other side's metrics. Never trusted for a decision.

/** Absent facts are undefined. */
export interface Baggage {
  readonly clusterId?: string | undefined;
  readonly namespace?: string | undefined;
  readonly workloadType?: BaggageWorkloadType | undefined;
  readonly workloadName?: string | undefined;
  /** Canonical name and revision. */
  readonly serviceName?: string | undefined;
  readonly serviceVersion?: string | undefined;
  readonly region?: string | undefined;
  readonly zone?: string | undefined;
}

export type BaggageWorkloadType = "deployment" | "cronjob" | "pod" | "job";

const TYPES: readonly string[] = ["deployment", "cronjob", "pod", "job"] satisfies BaggageWorkloadType[];

/**
 * The header's value; an empty text when nothing is known. Values are not escaped, so that one which would be read as something else is
 * left out.
 * @source ztunnel src/baggage.rs baggage_header_val
 */
export function formatBaggage(baggage: Baggage): string {
  const type = baggage.workloadType;
  const pairs: readonly (readonly [key: string, value: string | undefined])[] = [
    ["k8s.cluster.name", baggage.clusterId],
    ["k8s.namespace.name", baggage.namespace],
    [`k8s.${type}.name`, type === undefined ? undefined : baggage.workloadName],
    ["service.name", baggage.serviceName],
    ["service.version", baggage.serviceVersion],
    ["cloud.region", baggage.region],
    ["cloud.availability_zone", baggage.zone],
  ];
  return pairs
    .filter(([, value]) => value !== undefined && /^[\x21-\x2b\x2d-\x3c\x3e-\x7e]+$/.test(value))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

/**
 * Several headers are merged in order: later values win, unknown keys are skipped, empty values count as absent.
 * @source ztunnel src/baggage.rs parse_baggage_header
 */
export function parseBaggage(values: readonly string[]): Baggage {
  const found: { -readonly [K in keyof Baggage]: Baggage[K] } = {};
  for (const pair of values.flatMap((value) => value.split(","))) {
    const parts = pair.split("=");
    const key = (parts[0] ?? "").trim();
    const value = (parts[1] ?? "").trim() || undefined;
    const field = FIELDS.get(key);
    const type = /^k8s\.([a-z]+)\.name$/.exec(key)?.[1];
    if (field !== undefined) found[field] = value;
    else if (isWorkloadType(type)) {
      found.workloadType = type;
      found.workloadName = value;
    }
  }
  return found;
}

const FIELDS = new Map<string, "clusterId" | "namespace" | "serviceName" | "serviceVersion" | "region" | "zone">([
  ["k8s.cluster.name", "clusterId"],
  ["k8s.namespace.name", "namespace"],
  ["service.name", "serviceName"],
  ["service.version", "serviceVersion"],
  ["cloud.region", "region"],
  ["cloud.availability_zone", "zone"],
]);

function isWorkloadType(text: string | undefined): text is BaggageWorkloadType {
  return text !== undefined && TYPES.includes(text);
}
