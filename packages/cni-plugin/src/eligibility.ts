// Which pods are taken into the mesh, and in words why or why not.
import { type LabelSelector, type Labels, selectorMatches } from "./label-selector.ts";

const DATAPLANE_MODE_LABEL = "istio.io/dataplane-mode";
const SIDECAR_ANNOTATION = "sidecar.istio.io/status";

/** What enrolment depends on. */
export interface EnrolmentFacts {
  readonly namespace: string;
  readonly labels: Labels;
  readonly annotations: Readonly<Record<string, string>>;
  readonly hostNetwork: boolean;
}

/** Selects a pod when both parts match. */
export interface EnablementSelector {
  readonly podSelector: LabelSelector;
  readonly namespaceSelector: LabelSelector;
}

export interface EligibilityOptions {
  /** Any one that matches enrols the pod. */
  readonly selectors: readonly EnablementSelector[];
  readonly excludedNamespaces: readonly string[];
  /** Where the mesh's own components run: its node proxies are never enrolled. */
  readonly systemNamespace: string;
}

export type Eligibility =
  | { readonly kind: "enrol"; readonly reason: string }
  | { readonly kind: "skip"; readonly reason: string };

const everything: LabelSelector = { matchLabels: {}, matchExpressions: [] };
const ambient: LabelSelector = { matchLabels: { [DATAPLANE_MODE_LABEL]: "ambient" }, matchExpressions: [] };
const notNone: LabelSelector = {
  matchLabels: {},
  matchExpressions: [{ key: DATAPLANE_MODE_LABEL, operator: "NotIn", values: ["none"] }],
};

/** @source istio manifests/charts/istio-cni/values.yaml ambient.enablementSelectors */
export const DEFAULT_SELECTORS: readonly EnablementSelector[] = [
  { podSelector: ambient, namespaceSelector: everything },
  { podSelector: notNone, namespaceSelector: ambient },
];

/**
 * Decides whether a pod belongs into the mesh. The hard exclusions come before the selectors.
 * @source istio cni/pkg/util/podutil.go PodRedirectionEnabled, cni/pkg/nodeagent/informers.go
 */
export function decideEligibility(pod: EnrolmentFacts, namespaceLabels: Labels, options: EligibilityOptions): Eligibility {
  const skip = (reason: string): Eligibility => ({ kind: "skip", reason });
  if (pod.hostNetwork) return skip("it uses the node's network, which cannot be redirected");
  if (pod.annotations[SIDECAR_ANNOTATION] !== undefined) return skip(`it has a sidecar (annotation ${SIDECAR_ANNOTATION})`);
  if (options.excludedNamespaces.includes(pod.namespace)) return skip(`namespace ${pod.namespace} is excluded by configuration`);
  if (pod.namespace === options.systemNamespace && pod.labels["app"] === "ztunnel") return skip("it is a node proxy of the mesh");
  const podMode = pod.labels[DATAPLANE_MODE_LABEL];
  const namespaceMode = namespaceLabels[DATAPLANE_MODE_LABEL];
  const seen = `pod label ${DATAPLANE_MODE_LABEL}=${podMode ?? "(absent)"}, namespace label ${namespaceMode ?? "(absent)"}`;
  const matches = options.selectors.some(
    (selector) =>
      selectorMatches(selector.podSelector, pod.labels) && selectorMatches(selector.namespaceSelector, namespaceLabels),
  );
  if (matches) return { kind: "enrol", reason: seen };
  return skip(`no enablement selector matches: ${seen}`);
}
