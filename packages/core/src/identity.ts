// SPIFFE identities as Istio writes them: spiffe://<trust domain>/ns/<namespace>/sa/<service account>.

/** `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`, always in that canonical text form. */
export type SpiffeId = string & { readonly __brand: "SpiffeId" };

export interface SpiffeIdParts {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

const SCHEME = "spiffe://";

export function spiffeId(parts: SpiffeIdParts): SpiffeId {
  return `${SCHEME}${parts.trustDomain}/ns/${parts.namespace}/sa/${parts.serviceAccount}` as SpiffeId;
}

/**
 * The parts of a SPIFFE ID, or undefined when the text is not one: after the scheme exactly five non-empty segments.
 * @source ztunnel src/identity/manager.rs Identity::from_str
 */
export function parseSpiffeId(text: string): SpiffeIdParts | undefined {
  if (!text.startsWith(SCHEME)) return undefined;
  const segments = text.slice(SCHEME.length).split("/");
  const [trustDomain, ns, namespace, sa, serviceAccount] = segments;
  if (segments.length !== 5 || ns !== "ns" || sa !== "sa") return undefined;
  if (!trustDomain || !namespace || !serviceAccount) return undefined;
  return { trustDomain, namespace, serviceAccount };
}

/** The text as a SpiffeId, or undefined when it is not one. */
export function asSpiffeId(text: string): SpiffeId | undefined {
  return parseSpiffeId(text) === undefined ? undefined : (text as SpiffeId);
}

/** The form that policies compare: without the scheme. */
export function principalOf(id: SpiffeId): string {
  return id.slice(SCHEME.length);
}
