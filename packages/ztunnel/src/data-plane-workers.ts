// The data-plane threads as the main thread sees them: state goes in, reports come out.
import type { Logger, MeshError } from "@ambit/core";
import type { MeshState } from "@ambit/discovery";
import { startWorkerPool, type WorkerPool } from "@ambit/engine";
import type { HandshakeSecrets } from "./admin/handshake-secrets.ts";
import type { IdentityKeeper } from "./identities.ts";
import type { WorkloadManager } from "./inpod/workload-manager.ts";
import type { ConnectionReports } from "./report/connection-reports.ts";
import type { DnsReporter } from "./report/dns-reports.ts";
import type { TrafficMetrics } from "./report/traffic-metrics.ts";
import type { ToMain, ToWorker, WorkerData } from "./worker-messages.ts";

export interface DataPlaneDeps {
  readonly data: WorkerData;
  readonly count: number;
  readonly state: MeshState;
  readonly isMeshReady: () => boolean;
  readonly manager: () => WorkloadManager;
  readonly identities: () => IdentityKeeper;
  readonly secrets: () => HandshakeSecrets;
  readonly reports: ConnectionReports;
  readonly traffic: TrafficMetrics;
  readonly reportDns: DnsReporter;
  readonly logger: Logger;
  readonly dryRunAtInfo: boolean;
}

export class DataPlaneWorkers {
  readonly #deps: DataPlaneDeps;
  readonly #sockets: { inbound: number; outbound: number }[] = [];
  /** Workers that have nothing open any more; undefined before `drain`. */
  #drained: Set<number> | undefined;
  #pool: WorkerPool<ToWorker> | undefined;

  constructor(deps: DataPlaneDeps) {
    this.#deps = deps;
  }

  /** @throws ENGINE_SYMBOLS_MISSING, ENGINE_WORKER_DIED */
  async start(): Promise<void> {
    const { data, count } = this.#deps;
    this.#pool = await startWorkerPool<ToWorker, ToMain>({
      entry: new URL("./worker.ts", import.meta.url),
      count,
      data,
      onStart: (worker) => this.#onStart(worker),
      onMessage: (worker, message) => this.#onMessage(worker, message),
      onDeath: (worker, error) => this.#onDeath(worker, error),
    });
    // Those that started while the pool was not yet in our hands have nothing to catch up with: nothing is known before.
  }

  get count(): number {
    return this.#deps.count;
  }

  get restarts(): number {
    return this.#pool?.restarts ?? 0;
  }

  sockets(direction: "inbound" | "outbound"): number {
    return this.#sockets.reduce((total, counts) => total + counts[direction], 0);
  }

  broadcast(message: ToWorker): void {
    this.#pool?.broadcast(message);
  }

  /** Listeners close at once, what is open may finish. */
  drain(): void {
    this.#drained ??= new Set();
    this.broadcast({ kind: "drain" });
  }

  get isDrained(): boolean {
    return this.#drained !== undefined && this.#drained.size >= this.count;
  }

  async stop(): Promise<void> {
    await this.#pool?.stop();
  }

  #onStart(worker: number): void {
    const pool = this.#pool;
    // One that replaces a worker which died during the drain serves nothing.
    if (pool === undefined || this.#drained !== undefined) return;
    const { state, isMeshReady, identities, manager } = this.#deps;
    pool.post(worker, { kind: "mesh", update: state.snapshot() });
    if (isMeshReady()) pool.post(worker, { kind: "meshReady" });
    identities().workerStarted((message) => pool.post(worker, message));
    manager().workerStarted((pod) => pool.post(worker, { kind: "addPod", pod }));
    this.#deps.secrets().workerStarted((message) => pool.post(worker, message));
  }

  #onDeath(worker: number, error: MeshError): void {
    const { logger, manager, reports } = this.#deps;
    logger.error("data-plane thread died, its connections ended with it; a new one starts", { worker, error });
    this.#sockets[worker] = { inbound: 0, outbound: 0 };
    reports.workerDied(worker, error, Date.now());
    manager().workerDied(worker);
    this.#drained?.add(worker);
  }

  #onMessage(worker: number, message: ToMain): void {
    const { manager, identities, reports, traffic, reportDns, logger, dryRunAtInfo } = this.#deps;
    switch (message.kind) {
      case "podListening":
        manager().listening(worker, message.uid, message.netns);
        return;
      case "podFailed":
        manager().failed(message.uid, message.netns, message.error);
        return;
      case "needIdentity":
        identities().need(message.identity);
        return;
      case "labels":
        reports.labels(worker, message.number, message.labels);
        return;
      case "opened":
        reports.opened(worker, message);
        return;
      case "closed":
        reports.closed(worker, message);
        return;
      case "failed":
        reports.failed(message);
        return;
      case "dryRunMatch": {
        const { policy, source, destination } = message;
        logger[dryRunAtInfo ? "info" : "debug"]("dry-run policy matches", { policy, source, destination });
        return;
      }
      case "drained":
        this.#drained?.add(worker);
        return;
      case "sockets":
        this.#sockets[worker] = { inbound: message.inbound, outbound: message.outbound };
        return;
      case "dns":
        reportDns(message, manager().pod(message.pod));
        return;
      case "handshakeSecretsBegun":
        this.#deps.secrets().began(worker, message.run);
        return;
      case "handshakeSecret":
        this.#deps.secrets().add(message.line);
        return;
      case "hostnameResolved":
        traffic.onDemandDns(message.labels, message.hostname);
        return;
      case "log":
        logger[message.level](message.message, message.fields);
        return;
    }
  }
}
