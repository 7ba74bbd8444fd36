// Configuration of the control plane: environment names are those of istiod where it has the same setting.
import { type ConfigOf, type ConfigSpec, configTypes } from "@ambit/runtime";
import { z } from "zod";

const DAY_MS = 86_400_000;

const accounts = configTypes
  .list()
  .default(["ambit-system/ztunnel", "istio-system/ztunnel"])
  .refine((list) => list.every((text) => /^[^/]+\/[^/]+$/.test(text)), {
    error: "must be NAMESPACE/SERVICE_ACCOUNT, separated by commas",
  });

export const istiodConfigSpec = {
  sourceDirectory: {
    env: ["SOURCE_DIR"],
    description: "Watched directory of Kubernetes objects as YAML.",
    schema: configTypes.text(),
  },
  caDirectory: {
    env: ["CA_DIR"],
    description:
      "Directory of the certificate authority: plugged in as ca-cert.pem, ca-key.pem, cert-chain.pem and root-cert.pem, else made here.",
    schema: configTypes.text(),
  },
  tokenKeysFile: {
    env: ["TOKEN_KEYS_FILE"],
    description: "JSON Web Key set that service-account tokens are signed with; read again when it changes.",
    schema: configTypes.text(),
  },
  tokenAudiences: {
    env: ["TOKEN_AUDIENCES"],
    description: "Audiences of tokens that are taken, separated by commas.",
    schema: configTypes.list().default(["istio-ca"]),
  },
  tokenIssuer: {
    env: ["TOKEN_ISSUER"],
    description: "Issuer that tokens must name; any when not set.",
    schema: configTypes.text().optional(),
  },
  trustDomain: {
    env: ["TRUST_DOMAIN"],
    description: "Trust domain of every identity.",
    schema: configTypes.text().default("cluster.local"),
  },
  clusterId: {
    env: ["CLUSTER_ID"],
    description: "Name of this cluster, the start of workload names.",
    schema: configTypes.text().default("Kubernetes"),
  },
  rootNamespace: {
    env: ["ROOT_NAMESPACE"],
    description: "Namespace whose policies hold for the whole mesh.",
    schema: configTypes.text().default("istio-system"),
  },
  network: {
    env: ["NETWORK"],
    description: "Network of this cluster's addresses.",
    schema: z.string().default(""),
  },
  domain: {
    env: ["DOMAIN_SUFFIX"],
    description: "End of Kubernetes service names.",
    schema: configTypes.text().default("cluster.local"),
  },
  sendDryRun: {
    env: ["AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY"],
    description: "Whether policies annotated as dry runs are sent; proxies older than Istio 1.29 enforce them.",
    schema: configTypes.boolean(false),
  },
  grpcPort: {
    env: ["GRPC_PORT"],
    description: "Port of discovery and certificates, over TLS.",
    schema: configTypes.integer(0, 65535).default(15012),
  },
  httpPort: {
    env: ["HTTP_PORT"],
    description: "Port of metrics, readiness, version and debug pages.",
    schema: configTypes.integer(0, 65535).default(15014),
  },
  bindAddress: {
    env: ["BIND_ADDRESS"],
    description: "Address that both ports are bound to; all of the machine's when not set.",
    schema: configTypes.text().optional(),
  },
  serverNames: {
    env: ["SERVER_NAMES"],
    description: "DNS names and addresses in the server's certificate, separated by commas.",
    schema: configTypes.list().default(["istiod.istio-system.svc"]),
  },
  workloadTtlMs: {
    env: ["WORKLOAD_CERT_TTL", "DEFAULT_WORKLOAD_CERT_TTL"],
    description: "Lifetime of certificates when the request names none.",
    schema: configTypes.durationMs().default(DAY_MS),
  },
  maxWorkloadTtlMs: {
    env: ["MAX_WORKLOAD_CERT_TTL"],
    description: "Longest lifetime that may be asked for.",
    schema: configTypes.durationMs().default(90 * DAY_MS),
  },
  trustedNodeAccounts: {
    env: ["TRUSTED_ZTUNNEL_ACCOUNTS", "CA_TRUSTED_NODE_ACCOUNTS"],
    description: "Service accounts of node proxies, which may have the identities of pods on their node.",
    schema: accounts,
  },
  debounceQuietMs: {
    env: ["PILOT_DEBOUNCE_AFTER"],
    description: "Pause after the last change before it is pushed.",
    schema: configTypes.durationMs().default(10),
  },
  debounceMaxMs: {
    env: ["PILOT_DEBOUNCE_MAX"],
    description: "Longest time that a change waits for others.",
    schema: configTypes.durationMs().default(1_000),
  },
  drainMs: {
    env: ["TERMINATION_DRAIN_DURATION"],
    description: "Time that open requests have to finish at the end.",
    schema: configTypes.durationMs().default(5_000),
  },
  logFilter: {
    env: ["AMBIT_LOG_LEVEL"],
    description: "Log filter: a level, and exceptions by scope, such as info,istiod:xds=debug.",
    schema: configTypes.logFilter("istiod:xds=debug"),
  },
  logFormat: {
    env: ["LOG_FORMAT"],
    description: "Log lines as text or json.",
    schema: z.enum(["text", "json"]).default("text"),
  },
} satisfies ConfigSpec;

export type IstiodConfig = ConfigOf<typeof istiodConfigSpec>;
