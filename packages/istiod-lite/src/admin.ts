// The HTTP port: metrics, readiness, version, and what the control plane knows and has sent.
import { ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL } from "@ambit/api";
import type { ObjectSource } from "@ambit/kube";
import { addMetricsRoutes, addReadinessRoute, httpServer, type MetricsRegistry, type Readiness } from "@ambit/runtime";
import type { AmbientIndex } from "./ambient-index.ts";
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
}

/** Paths are istiod's where it has the same page. */
export function createAdminServer({ registry, readiness, index, discovery, source, version }: AdminDeps) {
  const server = httpServer();
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
