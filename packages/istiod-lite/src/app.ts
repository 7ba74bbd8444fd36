// The control plane put together: every part in one place, and the order of starting and stopping.
import { existsSync, readFileSync } from "node:fs";
import { type Clock, type Logger, realClock } from "@ambit/core";
import type { ObjectSource } from "@ambit/kube";
import { listen, MetricsRegistry, Readiness } from "@ambit/runtime";
import { createAdminServer } from "./admin.ts";
import { AmbientIndex } from "./ambient-index.ts";
import { Authenticator } from "./ca/authenticate.ts";
import { AuthorityFiles } from "./ca/authority-files.ts";
import { CertificateService } from "./ca/certificate-service.ts";
import { ServingCertificate } from "./ca/serving-certificate.ts";
import { Signer } from "./ca/signer.ts";
import { TokenKeys } from "./ca/token-keys.ts";
import type { IstiodConfig } from "./config.ts";
import { GrpcServer } from "./grpc-server.ts";
import { addIstiodGauges, createIstiodMetrics } from "./metrics.ts";
import { DiscoveryService } from "./xds/discovery-service.ts";

export interface AppDeps {
  readonly source: ObjectSource;
  readonly logger: Logger;
  readonly clock?: Clock;
}

export interface App {
  /** Works until `signal` aborts, then lets open requests finish. */
  run(signal: AbortSignal): Promise<void>;
  /** Ports that were bound; 0 before. */
  readonly ports: { grpc: number; http: number };
  readonly readiness: Readiness;
}

const VERSION = (JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }).version;

/** Constructs, starts nothing. */
export function buildApp(config: IstiodConfig, deps: AppDeps): App {
  const { source, logger, clock = realClock } = deps;
  const { trustDomain } = config;
  const registry = new MetricsRegistry();
  registry.addProcessMetrics();
  const metrics = createIstiodMetrics(registry);
  const readiness = new Readiness();
  const started = readiness.task("start");
  const index = new AmbientIndex(source, config);
  const discovery = new DiscoveryService(
    { index, clock, logger: logger.scope("xds"), metrics: metrics.discovery },
    { quietMs: config.debounceQuietMs, maxMs: config.debounceMaxMs },
  );
  const tokenKeys = new TokenKeys(config.tokenKeysFile, logger.scope("ca"));
  const authenticator = new Authenticator(tokenKeys, clock, {
    trustDomain,
    audiences: config.tokenAudiences,
    issuer: config.tokenIssuer,
  });
  const signer = new Signer(
    { files: new AuthorityFiles(config.caDirectory), clock, logger: logger.scope("ca") },
    { organization: trustDomain, overlapMs: config.maxWorkloadTtlMs },
  );
  const certificates = new CertificateService(
    { signer, source, logger: logger.scope("ca"), metrics: metrics.certificates },
    {
      trustDomain,
      trustedAccounts: config.trustedNodeAccounts,
      defaultTtlMs: config.workloadTtlMs,
      maxTtlMs: config.maxWorkloadTtlMs,
    },
  );
  const serving = new ServingCertificate(
    { signer, clock, logger: logger.scope("ca") },
    { serverNames: config.serverNames, ttlMs: config.workloadTtlMs },
  );
  const admin = createAdminServer({
    ...{ registry, readiness, index, discovery, source, authenticator },
    version: VERSION,
    systemNamespaces: new Set([
      config.rootNamespace,
      ...config.trustedNodeAccounts.map((account) => account.split("/")[0] ?? ""),
    ]),
  });
  addIstiodGauges(registry, {
    version: VERSION,
    proxies: () => discovery.connections().length,
    resources: () => index.size,
    refusedObjects: () => source.problems().length,
    ineffectiveObjects: () => index.problems().length,
    expiries: () => signer.expiries(),
  });
  const host = config.bindAddress ?? everyAddress();
  const ports = { grpc: 0, http: 0 };

  /** Order: whatever a proxy will ask for is there before its port is. */
  const start = async (signal: AbortSignal): Promise<GrpcServer> => {
    ports.http = await listen(admin, { host, port: config.httpPort });
    await tokenKeys.read();
    await signer.open(signal);
    await source.start(signal);
    index.start();
    const credentials = serving.start((renewed) => server.renew(renewed), signal);
    const server = new GrpcServer(
      {
        ...{ authenticator, discovery, certificates, clock },
        authenticationFailures: metrics.authenticationFailures,
        logger: logger.scope("grpc"),
      },
      credentials,
    );
    ports.grpc = await server.listen(host, config.grpcPort);
    started.done();
    logger.info("Control plane is ready", { ...ports, resources: index.size, trustDomain });
    return server;
  };

  return {
    ports,
    readiness,
    async run(signal) {
      let server: GrpcServer | undefined;
      try {
        server = await start(signal);
        await aborted(signal);
      } finally {
        started.undone();
        discovery.stop();
        await server?.close(config.drainMs);
        await admin.close();
      }
    },
  };
}

/** The IPv6 one takes IPv4 too, where the kernel has IPv6. */
function everyAddress(): string {
  return existsSync("/proc/net/if_inet6") ? "::" : "0.0.0.0";
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
