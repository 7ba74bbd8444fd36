// The node proxy put together: every part in one place, and the order of starting and stopping.
import { readFile } from "node:fs/promises";
import { asMeshError, type Clock, type Logger, MeshError, realClock } from "@ambit/core";
import { DeltaClient, discoveryNode, MeshState, rootSource, tokenSource } from "@ambit/discovery";
import { CaClient, SvidManager } from "@ambit/identity";
import {
  addMetricsRoutes,
  addReadinessRoute,
  httpServer,
  type LogOutput,
  listen,
  MetricsRegistry,
  Readiness,
} from "@ambit/runtime";
import { createAdminServer } from "./admin/admin-server.ts";
import { dumpConfig } from "./admin/config-dump.ts";
import { HandshakeSecrets } from "./admin/handshake-secrets.ts";
import { parseNameservers, terminationDeadlineMs, workerThreads, type ZtunnelConfig } from "./config.ts";
import { DataPlaneWorkers } from "./data-plane-workers.ts";
import { IdentityKeeper } from "./identities.ts";
import { WorkloadManager } from "./inpod/workload-manager.ts";
import { runZdsClient } from "./inpod/zds-client.ts";
import { ConnectionReports } from "./report/connection-reports.ts";
import { createDnsReporter } from "./report/dns-reports.ts";
import { addProcessGauges, createDiscoveryMetrics, createPodMetrics, ownVersion } from "./report/process-metrics.ts";
import { createTrafficMetrics } from "./report/traffic-metrics.ts";
import type { DnsWorkerData, WorkerData } from "./worker-messages.ts";

export interface AppDeps {
  readonly output: LogOutput;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
}

/** How long the last reports of the workers may take when they are stopped. */
const LAST_REPORTS_MS = 1_000;
const CA_TIMEOUT_MS = 10_000;

/** Runs until `signal` aborts and the drain has ended. @throws ZTUNNEL_ZDS_PROTOCOL, ENGINE_SYMBOLS_MISSING, RUNTIME_PORT_UNAVAILABLE */
export async function runZtunnel(config: ZtunnelConfig, deps: AppDeps, signal: AbortSignal): Promise<void> {
  const { output, environment, clock = realClock } = deps;
  const logger = output.logger("ztunnel");
  const version = ownVersion();
  const stopping = new AbortController();
  /** Aborts after the drain: connections that go on obey policies that come meanwhile. */
  const drained = new AbortController();
  signal.addEventListener("abort", () => stopping.abort(), { once: true });

  const registry = new MetricsRegistry();
  const readiness = new Readiness();
  const meshTask = readiness.task("discovery");
  const podsTask = readiness.task("workload proxy manager");
  const state = new MeshState();
  const traffic = createTrafficMetrics(registry);
  const reports = new ConnectionReports(traffic, output.logger("access"));
  const svids = createSvids(config, clock, logger);

  const workers: DataPlaneWorkers = new DataPlaneWorkers({
    data: await workerData(config),
    count: workerThreads(config),
    state,
    isMeshReady: () => client.ready,
    manager: () => manager,
    identities: () => identities,
    secrets: () => secrets,
    reports,
    traffic,
    reportDns: createDnsReporter(registry, output.logger("dns")),
    logger: logger.scope("worker"),
    dryRunAtInfo: config.policyInfoLogging,
  });
  const identities = new IdentityKeeper({
    svids,
    trustDomain: config.trustDomain,
    logger: logger.scope("identity"),
    broadcast: (message) => workers.broadcast(message),
  });
  const secrets = new HandshakeSecrets({
    broadcast: (message) => workers.broadcast(message),
    workerCount: () => workers.count,
    clock,
  });
  let isSnapshotComplete = false;
  const manager: WorkloadManager = new WorkloadManager({
    addToWorkers: (pod) => workers.broadcast({ kind: "addPod", pod }),
    removeFromWorkers: (uid) => workers.broadcast({ kind: "removePod", uid }),
    workerCount: () => workers.count,
    clock,
    logger: logger.scope("inpod"),
    metrics: createPodMetrics(registry),
    onChange: () => {
      identities.update(manager.pods().map(({ pod }) => pod));
      updatePodsTask();
    },
  });
  const updatePodsTask = () => {
    if (isSnapshotComplete && manager.pending === 0) podsTask.done();
    else podsTask.undone();
  };
  const meshReady = Promise.withResolvers<void>();
  const client = createClient(config, environment, {
    clock,
    logger: logger.scope("xds"),
    metrics: createDiscoveryMetrics(registry),
    onUpdate: (update) => {
      state.apply(update);
      workers.broadcast({ kind: "mesh", update });
    },
    onReady: () => {
      workers.broadcast({ kind: "meshReady" });
      meshTask.done();
      meshReady.resolve();
    },
  });
  addProcessGauges(registry, {
    version,
    sockets: (direction) => workers.sockets(direction),
    activePods: () => manager.active,
    pendingPods: () => manager.pending,
    connectedToDiscovery: () => client.connected,
    workerRestarts: () => workers.restarts,
  });

  const metricsServer = httpServer();
  addMetricsRoutes(metricsServer, registry);
  const readinessServer = httpServer();
  addReadinessRoute(readinessServer, "/healthz/ready", readiness);
  const adminServer = createAdminServer({
    secrets,
    dump: () => dumpConfig({ config, version, state, svids, manager, reports }),
    output,
    initialFilter: config.logFilter.text,
    stop: () => stopping.abort(),
  });
  const servers = [metricsServer, readinessServer, adminServer];

  let discovery: Promise<void> | undefined;
  try {
    await workers.start();
    await listen(readinessServer, { host: "0.0.0.0", port: config.readinessPort });
    await listen(metricsServer, { host: "0.0.0.0", port: config.statsPort });
    await listen(adminServer, { host: "127.0.0.1", port: config.adminPort });
    logger.info("node proxy started", { version, node: config.nodeName, workers: workers.count, xds: config.xdsAddress });
    discovery = client.run(drained.signal);
    await Promise.race([meshReady.promise, aborted(stopping.signal)]);
    // Pods are asked for only now: what listens in a pod before that could not decide anything.
    await runZdsClient(
      {
        path: config.zdsSocket,
        manager,
        clock,
        logger: logger.scope("inpod"),
        onReady: (isReady) => {
          isSnapshotComplete = isReady;
          updatePodsTask();
        },
      },
      stopping.signal,
    );
  } finally {
    readiness.task("draining");
    stopping.abort();
    await drain(workers, reports, terminationDeadlineMs(config), logger);
    drained.abort();
    await discovery;
    svids.close();
    secrets.close();
    await workers.stop();
    manager.closeAll();
    await Promise.all(servers.map((server) => server.close()));
  }
}

/** Listeners close at once, what is open may finish, at the deadline it is cut. */
async function drain(workers: DataPlaneWorkers, reports: ConnectionReports, deadlineMs: number, logger: Logger): Promise<void> {
  logger.info("draining", { connections: reports.open, deadlineMs });
  workers.drain();
  await until(() => workers.isDrained, deadlineMs);
  if (!workers.isDrained) logger.warn("connections are cut, the time for draining is over", { connections: reports.open });
  workers.broadcast({ kind: "abort" });
  await until(() => reports.open === 0, LAST_REPORTS_MS);
}

/** Looks again every few milliseconds; ends at the deadline in any case. */
async function until(condition: () => boolean, deadlineMs: number): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!condition() && performance.now() < endMs) await new Promise((resolve) => setTimeout(resolve, 20));
}

function createSvids(config: ZtunnelConfig, clock: Clock, logger: Logger): SvidManager {
  const ca = new CaClient({
    address: config.caAddress,
    rootCertFile: config.caRootCert,
    tokenFile: config.authToken,
    clusterId: config.clusterId,
    ttlMs: config.secretTtlMs,
    timeoutMs: CA_TIMEOUT_MS,
    ...(config.altCaHostname === undefined ? {} : { serverName: config.altCaHostname }),
  });
  return new SvidManager({ fetch: (identity, abort) => ca.fetch(identity, abort), clock, logger: logger.scope("identity") });
}

type ClientDeps = Omit<ConstructorParameters<typeof DeltaClient>[0], "readRoots" | "readToken">;

function createClient(config: ZtunnelConfig, environment: AppDeps["environment"], deps: ClientDeps): DeltaClient {
  const node = discoveryNode({
    proxyType: "ztunnel",
    podName: config.podName,
    podNamespace: config.podNamespace,
    nodeName: config.nodeName,
    environment,
    ...(config.instanceIp === undefined ? {} : { instanceIp: config.instanceIp }),
  });
  return new DeltaClient(
    { ...deps, readRoots: rootSource(config.xdsRootCert), readToken: tokenSource(config.authToken) },
    {
      address: config.xdsAddress,
      clusterId: config.clusterId,
      headers: {},
      node,
      ...(config.altXdsHostname === undefined ? {} : { serverName: config.altXdsHostname }),
    },
  );
}

async function workerData(config: ZtunnelConfig): Promise<WorkerData> {
  return {
    network: config.network,
    clusterId: config.clusterId,
    clusterDomain: config.clusterDomain,
    ipv6: config.ipv6,
    mark: config.packetMark,
    originalSource: config.originalSource,
    localhostAppTunnel: config.localhostAppTunnel,
    dns: config.dnsCapture ? await dnsData(config) : undefined,
    poolIdleMs: config.poolIdleMs,
    poolMaxStreams: config.poolMaxStreams,
    responseBaggage: config.responseBaggage,
  };
}

async function dnsData(config: ZtunnelConfig): Promise<DnsWorkerData> {
  try {
    const nameservers = parseNameservers(await readFile(config.resolvConf, "utf8"));
    return { nameservers, preferredNamespace: config.preferredServiceNamespace };
  } catch (cause) {
    const error = asMeshError(cause, "ZTUNNEL_NAME_UNRESOLVED");
    throw new MeshError("RUNTIME_CONFIG_INVALID", `AMBIT_RESOLV_CONF: cannot read ${config.resolvConf}: ${error.message}`, {
      cause,
    });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
