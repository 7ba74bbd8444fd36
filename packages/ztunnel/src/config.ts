// Configuration of the node proxy: environment names and defaults are those of Istio's ztunnel. @source ztunnel src/config.rs
import { availableParallelism } from "node:os";
import { type IpAddress, parseIp } from "@ambit/core";
import { type ConfigOf, type ConfigSpec, configTypes } from "@ambit/runtime";
import { z } from "zod";

const optionalText = () => configTypes.text().optional();

/** `0` is all cores, `N%` a share of them. */
const workerCount = z
  .string()
  .regex(/^\d{1,3}%?$/, "must be a number of threads, or a share of the cores such as 50%")
  .transform((text) => {
    const number = Number(text.replace("%", ""));
    if (text.endsWith("%")) return Math.max(1, Math.ceil((availableParallelism() * number) / 100));
    return number === 0 ? availableParallelism() : number;
  })
  .optional();

const address = z.string().refine((text) => parseIp(text) !== undefined, "must be an IP address");

/** A control plane's address. Plaintext only when written out, for tests. */
const controlPlane = z
  .string()
  .default("https://istiod.istio-system.svc:15012")
  .transform((text) => (/^https?:\/\//.test(text) ? text : `https://${text}`))
  .refine((text) => URL.canParse(text), "must be host:port or https://host:port");

export const ztunnelConfigSpec = {
  nodeName: { env: ["NODE_NAME"], description: "Name of this node.", schema: configTypes.text() },
  podName: { env: ["POD_NAME"], description: "Name of the proxy's own pod.", schema: configTypes.text().default("ztunnel") },
  podNamespace: {
    env: ["POD_NAMESPACE"],
    description: "Namespace of the proxy's own pod.",
    schema: configTypes.text().default("istio-system"),
  },
  instanceIp: {
    env: ["INSTANCE_IP"],
    description: "The proxy's own address, told to the control plane.",
    schema: address.optional(),
  },
  trustDomain: {
    env: ["TRUST_DOMAIN"],
    description: "Trust domain of identities that are asked for before discovery knows the pod.",
    schema: configTypes.text().default("cluster.local"),
  },
  network: {
    env: ["NETWORK"],
    description: "Network that this node is in; empty for the default one.",
    schema: z.string().default(""),
  },
  clusterId: {
    env: ["ISTIO_META_CLUSTER_ID", "CLUSTER_ID"],
    description: "Name of this cluster.",
    schema: configTypes.text().default("Kubernetes"),
  },
  clusterDomain: {
    env: ["CLUSTER_DOMAIN"],
    description: "Domain of service names.",
    schema: configTypes.text().default("cluster.local"),
  },
  workerThreads: {
    env: ["ZTUNNEL_WORKER_THREADS"],
    description:
      "Data-plane threads: a number, 0 for all cores, or a share such as 50%; by default a quarter of the cores, at least 2.",
    schema: workerCount,
  },
  zdsSocket: {
    env: ["INPOD_UDS"],
    description: "Socket of the node agent, which tells the pods of this node.",
    schema: configTypes.text().default("/var/run/ztunnel/ztunnel.sock"),
  },
  packetMark: {
    env: ["PACKET_MARK"],
    description: "Mark of the proxy's own packets in pods; the redirection rules let them pass.",
    schema: configTypes.integer(1, 2 ** 31 - 1).default(1337),
  },
  originalSource: {
    env: ["ENABLE_ORIG_SRC"],
    description: "Whether applications see the client's address; by default they do.",
    schema: z.union([z.undefined(), configTypes.boolean(true)], { error: "must be true or false" }),
  },
  ipv6: { env: ["IPV6_ENABLED"], description: "Whether IPv6 is served in pods.", schema: configTypes.boolean(true) },
  localhostAppTunnel: {
    env: ["LOCALHOST_APP_TUNNEL"],
    description: "Whether applications that end tunnels themselves are reached over loopback.",
    schema: configTypes.boolean(true),
  },
  xdsAddress: { env: ["XDS_ADDRESS"], description: "Discovery server, https://host:port.", schema: controlPlane },
  caAddress: { env: ["CA_ADDRESS"], description: "Certificate authority, https://host:port.", schema: controlPlane },
  xdsRootCert: {
    env: ["XDS_ROOT_CA"],
    description: "PEM file (or text) of the roots that vouch for discovery, or SYSTEM.",
    schema: configTypes.text().default("./var/run/secrets/istio/root-cert.pem"),
  },
  caRootCert: {
    env: ["CA_ROOT_CA"],
    description: "PEM file of the roots that vouch for the certificate authority.",
    schema: configTypes.text().default("./var/run/secrets/istio/root-cert.pem"),
  },
  altXdsHostname: {
    env: ["ALT_XDS_HOSTNAME"],
    description: "Name to expect in discovery's certificate.",
    schema: optionalText(),
  },
  altCaHostname: {
    env: ["ALT_CA_HOSTNAME"],
    description: "Name to expect in the authority's certificate.",
    schema: optionalText(),
  },
  authToken: {
    env: ["AUTH_TOKEN"],
    description: "File with the token for the control plane, read anew for every use.",
    schema: configTypes.text().default("./var/run/secrets/tokens/istio-token"),
  },
  secretTtlMs: {
    env: ["SECRET_TTL"],
    description: "Lifetime to ask for in certificates; they are renewed at half of it.",
    schema: configTypes.durationMs().default(24 * 3_600_000),
  },
  poolMaxStreams: {
    env: ["POOL_MAX_STREAMS_PER_CONNECTION"],
    description: "Tunnels on one session before another one is opened.",
    schema: configTypes.integer(1, 10_000).default(100),
  },
  poolIdleMs: {
    env: ["POOL_UNUSED_RELEASE_TIMEOUT"],
    description: "How long a session without tunnels is kept.",
    schema: configTypes.durationMs().default(300_000),
  },
  terminationDeadlineMs: {
    env: ["CONNECTION_TERMINATION_DEADLINE"],
    description: "How long open connections may go on after the proxy was asked to stop; by default taken from the grace period.",
    schema: configTypes.durationMs().optional(),
  },
  terminationGraceMs: {
    env: ["TERMINATION_GRACE_PERIOD_SECONDS"],
    description: "Kubernetes' grace period of the pod, in seconds.",
    schema: configTypes.durationMs().optional(),
  },
  dnsCapture: {
    env: ["ISTIO_META_DNS_CAPTURE"],
    description: "Whether the proxy answers DNS in pods.",
    schema: configTypes.boolean(true),
  },
  preferredServiceNamespace: {
    env: ["PREFERED_SERVICE_NAMESPACE"],
    description: "Namespace whose definition of a hostname is taken among several; spelt as upstream spells it.",
    schema: optionalText(),
  },
  resolvConf: {
    env: ["AMBIT_RESOLV_CONF"],
    description: "File with the nameservers for names that the mesh does not know.",
    schema: configTypes.text().default("/etc/resolv.conf"),
  },
  responseBaggage: {
    env: ["ENABLE_RESPONSE_BAGGAGE"],
    description: "Whether answers to tunnels carry facts about the destination.",
    schema: configTypes.boolean(true),
  },
  policyInfoLogging: {
    env: ["AUTHZ_POLICY_INFO_LOGGING"],
    description: "Whether matches of dry-run policies are logged at info instead of debug.",
    schema: configTypes.boolean(false),
  },
  adminPort: {
    env: ["ADMIN_PORT"],
    description: "Port of the admin pages, on localhost only.",
    schema: configTypes.integer(0, 65535).default(15000),
  },
  statsPort: {
    env: ["STATS_PORT"],
    description: "Port of Prometheus metrics.",
    schema: configTypes.integer(0, 65535).default(15020),
  },
  readinessPort: {
    env: ["READINESS_PORT"],
    description: "Port of /healthz/ready.",
    schema: configTypes.integer(0, 65535).default(15021),
  },
  logFilter: {
    env: ["RUST_LOG", "AMBIT_LOG_LEVEL"],
    description: "Log filter: a level, and exceptions by scope.",
    schema: configTypes.logFilter("access=debug"),
  },
  logFormat: {
    env: ["LOG_FORMAT"],
    description: "Log lines as text or json.",
    schema: z.enum(["text", "plain", "json"]).default("text"),
  },
} satisfies ConfigSpec;

export type ZtunnelConfig = ConfigOf<typeof ztunnelConfigSpec>;

/** @source ztunnel src/config.rs: 25 % of the cores, at least two */
export function workerThreads(config: ZtunnelConfig): number {
  return config.workerThreads ?? Math.max(2, Math.ceil(availableParallelism() / 4));
}

const DEFAULT_DEADLINE_MS = 5_000;

/** Before Kubernetes kills: 5 s less than the grace period, 1 s less than a short one. @source ztunnel src/config.rs */
export function terminationDeadlineMs({ terminationDeadlineMs: own, terminationGraceMs: grace }: ZtunnelConfig): number {
  if (own !== undefined) return own;
  if (grace === undefined) return DEFAULT_DEADLINE_MS;
  return Math.max(1_000, grace - (grace > 10_000 ? 5_000 : 1_000));
}

/** Addresses of `nameserver` lines. One with a zone (`fe80::1%eth0`) is of a link that pods do not have. */
export function parseNameservers(resolvConf: string): IpAddress[] {
  const servers: IpAddress[] = [];
  for (const line of resolvConf.split("\n")) {
    const ip = parseIp(/^\s*nameserver\s+([^\s#;]+)/.exec(line)?.[1] ?? "");
    if (ip !== undefined) servers.push(ip);
  }
  return servers;
}
