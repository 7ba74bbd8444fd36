// All metrics of the control plane, by istiod's names.
import type { Counter, Histogram } from "@ambit/core";
import type { MetricsRegistry } from "@ambit/runtime";

export interface DiscoveryMetrics {
  readonly pushes: Counter<"type">;
  readonly rejects: Counter<"type">;
  readonly convergence: Histogram<never>;
}

export interface CertificateMetrics {
  readonly requests: Counter<never>;
  readonly issued: Counter<never>;
  readonly unreadable: Counter<never>;
  readonly refused: Counter<never>;
}

export interface IstiodMetrics {
  readonly discovery: DiscoveryMetrics;
  readonly certificates: CertificateMetrics;
  readonly authenticationFailures: Counter<never>;
}

export function createIstiodMetrics(registry: MetricsRegistry): IstiodMetrics {
  const counter = (name: string, help: string) => registry.counter<never>({ name, help, labels: [] });
  return {
    discovery: {
      pushes: registry.counter({ name: "pilot_xds_pushes", help: "Responses put together for proxies.", labels: ["type"] }),
      rejects: registry.counter({
        name: "pilot_total_xds_rejects",
        help: "Responses in which a proxy refused at least one resource.",
        labels: ["type"],
      }),
      convergence: registry.histogram<never>({
        name: "pilot_proxy_convergence_time",
        help: "Seconds between a change and its being handed to a proxy's connection.",
        labels: [],
        buckets: [0.01, 0.1, 0.5, 1, 3, 5, 10, 20, 30],
      }),
    },
    certificates: {
      requests: counter("citadel_server_csr_count", "Signing requests received."),
      issued: counter("citadel_server_success_cert_issuance_count", "Certificates issued."),
      unreadable: counter("citadel_server_csr_parsing_err_count", "Signing requests that could not be read."),
      refused: counter("citadel_server_csr_sign_err_count", "Signing requests that were refused."),
    },
    authenticationFailures: counter("citadel_server_authentication_failure_count", "Callers that were not authenticated."),
  };
}

/** What is read when somebody asks. */
export interface IstiodState {
  readonly version: string;
  proxies(): number;
  resources(): number;
  refusedObjects(): number;
  ineffectiveObjects(): number;
  expiries(): { readonly rootMs: number; readonly chainMs: number };
}

export function addIstiodGauges(registry: MetricsRegistry, state: IstiodState): void {
  const gauge = (name: string, help: string, read: () => number) =>
    registry.observedGauge<never>({ name, help, labels: [] }, () => [{ labels: {}, value: read() }]);
  gauge("pilot_xds", "Proxies with an open stream.", () => state.proxies());
  gauge("pilot_resources", "Resources that are served.", () => state.resources());
  gauge("pilot_refused_objects", "Objects that were refused; the last good version of each stays in force.", () =>
    state.refusedObjects(),
  );
  gauge("pilot_ineffective_objects", "Objects that are accepted and do not do what they say.", () => state.ineffectiveObjects());
  gauge("citadel_server_root_cert_expiry_timestamp", "When the root expires, in seconds.", () => state.expiries().rootMs / 1000);
  gauge(
    "citadel_server_cert_chain_expiry_timestamp",
    "When the signing certificate expires, in seconds.",
    () => state.expiries().chainMs / 1000,
  );
  registry.observedGauge({ name: "pilot_info", help: "Version of the control plane.", labels: ["version"] }, () => [
    { labels: { version: state.version }, value: 1 },
  ]);
}
