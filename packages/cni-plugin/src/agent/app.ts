// The node agent put together: every part in one place, and the order of starting and stopping.
import { mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Clock, type Logger, realClock } from "@ambit/core";
import type { ObjectSource, ObjectWriter } from "@ambit/kube";
import { listenSeqpacket, type RuleRunner, type RunCommand, runCommand, type SeqpacketListener } from "@ambit/linux";
import { addMetricsRoutes, addReadinessRoute, httpServer, listen, MetricsRegistry, Readiness } from "@ambit/runtime";
import { cleanUpNode } from "./clean-up.ts";
import type { AgentConfig } from "./config.ts";
import { DriftCheck } from "./drift-check.ts";
import { Enrolment } from "./enrolment.ts";
import { HostProbes } from "./host-probes.ts";
import { createAgentMetrics } from "./metrics.ts";
import { createNetnsFinder } from "./netns-finder.ts";
import { createPluginServer } from "./plugin-server.ts";
import { PodCache } from "./pod-cache.ts";
import { PodQueue } from "./pod-queue.ts";
import { PodSnapshot } from "./pod-snapshot.ts";
import { PodWatcher } from "./pod-watcher.ts";
import { recoverPods } from "./recovery.ts";
import { Redirector } from "./redirector.ts";
import { ZdsServer } from "./zds-server.ts";

export interface AppDeps {
  readonly source: ObjectSource;
  readonly writer: ObjectWriter;
  readonly runner: RuleRunner;
  readonly logger: Logger;
  /** Absent: the system's. */
  readonly run?: RunCommand;
  readonly clock?: Clock;
}

export interface App {
  /** Works until `signal` aborts. Rules stay in place then, unless the configuration says otherwise. */
  run(signal: AbortSignal): Promise<void>;
  /** Takes everything of ours out of this node and ends. */
  cleanUp(signal: AbortSignal): Promise<void>;
  /** Ports that were bound; 0 before. */
  readonly ports: { metrics: number; health: number };
}

const ACCEPT_PAUSE_MS = 100;
const PLUGIN_SOCKET_NAME = "pluginevent.sock";

/** Constructs, starts nothing. */
export function buildApp(config: AgentConfig, deps: AppDeps): App {
  const { source, writer, runner, logger, run = runCommand, clock = realClock } = deps;
  const registry = new MetricsRegistry();
  registry.addProcessMetrics();
  const metrics = createAgentMetrics(registry);
  const readiness = new Readiness();
  const started = readiness.task("start");

  const redirectionOptions = { ipv6: config.ipv6, probes: { v4: config.probeSourceV4, v6: config.probeSourceV6 } };
  const redirector = new Redirector({ runner, run, logger: logger.scope("redirection") }, redirectionOptions);
  const hostProbes = new HostProbes({ runner, run }, redirectionOptions);
  const finder = createNetnsFinder(logger.scope("netns"), config);
  const snapshot = new PodSnapshot();
  const queue = new PodQueue();
  const cache = new PodCache(
    { source, clock },
    {
      nodeName: config.nodeName,
      eligibility: {
        selectors: config.enablementSelectors,
        excludedNamespaces: config.excludedNamespaces,
        systemNamespace: config.systemNamespace,
      },
    },
  );
  const zds = new ZdsServer({ snapshot, clock, logger: logger.scope("zds"), metrics });
  const enrolment = new Enrolment(
    { snapshot, redirector, hostProbes, nodeProxies: zds, logger: logger.scope("enrolment") },
    { captureDns: config.captureDns },
  );
  const watcher = new PodWatcher({
    ...{ cache, snapshot, enrolment, finder, queue, writer, clock, metrics },
    logger: logger.scope("watcher"),
  });
  const driftCheck = new DriftCheck(
    {
      ...{ snapshot, redirector, hostProbes, queue, clock, metrics },
      logger: logger.scope("drift"),
      onBroken: (pod) => watcher.reconcileSoon(pod.uid),
    },
    { intervalMs: config.driftCheckIntervalMs },
  );
  const pluginServer = createPluginServer({
    ...{ cache, snapshot, enrolment, redirector, watcher, queue, clock, metrics },
    isReady: () => readiness.ready,
    logger: logger.scope("plugin"),
  });
  const metricsServer = httpServer();
  addMetricsRoutes(metricsServer, registry);
  const healthServer = httpServer();
  healthServer.get("/healthz", async () => "ok\n");
  addReadinessRoute(healthServer, "/readyz", readiness);
  const ports = { metrics: 0, health: 0 };

  /** Order: pods of before, then whoever asks about them. Nobody sees a half-known node. */
  const start = async (signal: AbortSignal): Promise<SeqpacketListener> => {
    ports.health = await listen(healthServer, { host: "0.0.0.0", port: config.healthPort });
    ports.metrics = await listen(metricsServer, { host: "0.0.0.0", port: config.metricsPort });
    await source.start(signal);
    await hostProbes.ensure();
    await recoverPods({ cache, enrolment, finder, logger }, config.reconcileOnStart ? "repair" : "overwrite");
    await hostProbes.replaceAll(snapshot.list());
    await mkdir(dirname(config.ztunnelSocket), { recursive: true });
    const listener = listenSeqpacket(config.ztunnelSocket);
    void acceptProxies(listener, zds, clock, logger);
    watcher.start(signal);
    driftCheck.start(signal);
    const pluginSocket = join(config.runDirectory, PLUGIN_SOCKET_NAME);
    await mkdir(config.runDirectory, { recursive: true });
    await rm(pluginSocket, { force: true });
    await listen(pluginServer, { path: pluginSocket });
    started.done();
    logger.info("Node agent is ready", { node: config.nodeName, backend: runner.backend, pods: snapshot.list().length });
    return listener;
  };

  const stop = async (listener: SeqpacketListener | undefined): Promise<void> => {
    started.undone();
    await pluginServer.close();
    listener?.close();
    zds.closeAll();
    await queue.idle();
    if (config.cleanUpOnStop) await cleanUpNode({ cache, finder, redirector, hostProbes, writer, logger });
    snapshot.closeAll();
    await Promise.all([metricsServer.close(), healthServer.close()]);
  };

  return {
    ports,
    async run(signal) {
      let listener: SeqpacketListener | undefined;
      try {
        listener = await start(signal);
        await aborted(signal);
      } finally {
        await stop(listener);
      }
    },
    async cleanUp(signal) {
      await source.start(signal);
      await cleanUpNode({ cache, finder, redirector, hostProbes, writer, logger });
    },
  };
}

/** Failures are those of the moment, such as no descriptors left; a pause keeps them from filling the log. */
async function acceptProxies(listener: SeqpacketListener, zds: ZdsServer, clock: Clock, logger: Logger): Promise<void> {
  for (;;) {
    try {
      const channel = await listener.accept();
      if (channel === undefined) return;
      zds.accept(channel);
    } catch (error) {
      logger.error("A node proxy could not be accepted", { error });
      await new Promise<void>((resolve) => void clock.after(ACCEPT_PAUSE_MS, resolve));
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
