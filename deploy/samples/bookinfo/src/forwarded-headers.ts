// Request headers that every service hands on, so that traces and identities survive the hops.
const FORWARDED = [
  "x-request-id",
  "x-ot-span-context",
  "x-datadog-trace-id",
  "x-datadog-parent-id",
  "x-datadog-sampling-priority",
  "traceparent",
  "tracestate",
  "x-cloud-trace-context",
  "grpc-trace-bin",
  "x-b3-traceid",
  "x-b3-spanid",
  "x-b3-parentspanid",
  "x-b3-sampled",
  "x-b3-flags",
  "sw8",
  "user-agent",
  "cookie",
  "authorization",
  "jwt",
];

/** @param extra headers that only some services hand on, `end-user` for one */
export function forwardedHeaders(
  incoming: Readonly<Record<string, string | undefined>>,
  extra: readonly string[] = [],
): Record<string, string> {
  const outgoing: Record<string, string> = {};
  for (const name of [...FORWARDED, ...extra]) {
    const value = incoming[name];
    if (value !== undefined) outgoing[name] = value;
  }
  return outgoing;
}
