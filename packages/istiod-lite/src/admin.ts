// The HTTP port: metrics, readiness, version, and what the control plane knows and has sent.
import { ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL } from "@ambit/api";
import { hasCode, type IpAddress, isLoopback, MeshError, parseIp } from "@ambit/core";
import type { ObjectSource } from "@ambit/kube";
import { addMetricsRoutes, addReadinessRoute, httpServer, type MetricsRegistry, type Readiness } from "@ambit/runtime";
import type { AmbientIndex } from "./ambient-index.ts";
import type { Authenticator } from "./ca/authenticate.ts";
import type { Resource } from "./resource.ts";
import type { DiscoveryService } from "./xds/discovery-service.ts";
import { shortType } from "./xds/proxy-connection.ts";

export interface AdminDeps {
  readonly registry: MetricsRegistry;
  readonly readiness: Readiness;
  readonly index: AmbientIndex;
  readonly discovery: DiscoveryService;
  readonly source: ObjectSource;
  readonly version: string;
  readonly authenticator: Authenticator;
  /** Callers of these may read the debug pages from elsewhere. */
  readonly systemNamespaces: ReadonlySet<string>;
}

/** Paths are istiod's where it has the same page. */
export function createAdminServer({ registry, readiness, index, discovery, source, version, ...access }: AdminDeps) {
  const server = httpServer();
  server.addHook("onRequest", async (request, reply) => {
    // The route that was found: a request's own text may spell its path in other ways.
    if (!request.routeOptions.url?.startsWith("/debug")) return;
    const { remoteAddress, localAddress } = request.socket;
    const refusal = isThisMachine(remoteAddress, localAddress)
      ? undefined
      : await refusalOf(request.headers.authorization, access);
    if (refusal !== undefined) await reply.code(401).send(`${refusal}\n`);
  });
  addMetricsRoutes(server, registry);
  for (const path of ["/ready", "/healthz/ready"]) addReadinessRoute(server, path, readiness);
  server.get("/version", async () => ({ version, component: "istiod-lite", runtime: process.version }));
  server.get("/debug/syncz", async () => synczOf(discovery));
  server.get("/debug/connections", async () => connectionsOf(discovery));
  server.get("/debug/adsz", async () => resourcesOf(index));
  server.get("/debug/registryz", async () => valuesOf(index, "service"));
  server.get("/debug/workloadz", async () => valuesOf(index, "workload"));
  server.get("/debug/authorizationz", async () => [...index.table(AUTHORIZATION_TYPE_URL).values()].map(plain));
  server.get("/debug/problems", async () => problemsOf(source, index));
  return server;
}

function isThisMachine(remote: string | undefined, local: string | undefined): boolean {
  const ip: IpAddress | undefined = parseIp(remote ?? "");
  return ip !== undefined && (isLoopback(ip) || ip === parseIp(local ?? ""));
}

/** Debug pages name every workload and policy: from elsewhere they are for the system's own accounts. */
async function refusalOf(
  authorization: string | undefined,
  { authenticator, systemNamespaces }: Pick<AdminDeps, "authenticator" | "systemNamespaces">,
): Promise<string | undefined> {
  try {
    const { namespace } = await authenticator.authenticate(authorization ?? null, undefined);
    return systemNamespaces.has(namespace) ? undefined : `Accounts of namespace ${namespace} may not read debug pages`;
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    const reason = hasCode(error, "ISTIOD_UNAUTHENTICATED") ? error.message : "tokens cannot be checked";
    return `From another machine debug pages need a bearer token of a system account: ${reason}`;
  }
}

/** One line per proxy, by the field names of istiod's page. */
function synczOf(discovery: DiscoveryService) {
  return discovery.connections().map((connection) => ({
    proxy: `${connection.node.podName}.${connection.node.namespace}`,
    proxy_type: connection.node.type,
    istio_version: connection.node.version,
    node: connection.node.nodeName,
    connection: connection.id,
    connected_at: new Date(connection.connectedAtMs).toISOString(),
    types: Object.fromEntries(
      [...connection.status()].map(([typeUrl, { nonceSent, nonceAcked, refused, wildcard, keys }]) => [
        shortType(typeUrl),
        { nonce_sent: nonceSent, nonce_acked: nonceAcked, synced: nonceSent === nonceAcked, refused, wildcard, keys },
      ]),
    ),
  }));
}

function connectionsOf(discovery: DiscoveryService) {
  const clients = discovery.connections().map(({ id, node, connectedAtMs }) => ({
    connectionId: id,
    node: node.id,
    connectedAt: new Date(connectedAtMs).toISOString(),
  }));
  return { totalClients: clients.length, clients };
}

/** Names and versions of everything that is served. */
function resourcesOf(index: AmbientIndex) {
  return Object.fromEntries(
    ([ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL] as const).map((typeUrl) => [
      typeUrl,
      [...index.table(typeUrl).values()].map(({ name, version, bytes }) => ({ name, version, bytes: bytes.length })),
    ]),
  );
}

function valuesOf(index: AmbientIndex, kind: "service" | "workload") {
  return [...index.table(ADDRESS_TYPE_URL).values()].filter(({ value }) => "kind" in value && value.kind === kind).map(plain);
}

/** Maps as objects, which JSON can show. */
function plain({ value }: Resource): unknown {
  const content = "kind" in value ? (value.kind === "service" ? value.service : value.workload) : value;
  return JSON.parse(
    JSON.stringify(content, (_key, inner: unknown) => (inner instanceof Map ? Object.fromEntries(inner) : inner)),
  );
}

/** `refused`: objects of which the last good version stays; `ineffective`: objects that do not do what they say. */
function problemsOf(source: ObjectSource, index: AmbientIndex) {
  return { refused: source.problems(), ineffective: index.problems() };
}
