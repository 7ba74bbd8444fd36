// The agent's side of the protocol that tells node proxies which pods are theirs.
import type { Clock, Logger, PodUid } from "@ambit/core";
import type { FdChannel } from "@ambit/linux";
import { agentError } from "./errors.ts";
import type { AgentMetrics } from "./metrics.ts";
import { isLocated, type LocatedPod, type PodSnapshot } from "./pod-snapshot.ts";
import { type Order, type Outcome, ZdsConnection } from "./zds-connection.ts";

export interface ZdsServerDeps {
  readonly snapshot: PodSnapshot;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: AgentMetrics;
}

/** @source istio cni/pkg/nodeagent/ztunnelserver.go: at most 5 connections per second */
const ACCEPTED_PER_SECOND = 5;

/** Several proxies may be connected while one replaces another: all get every pod, the newest one's answer counts. */
export class ZdsServer {
  readonly #deps: ZdsServerDeps;
  /** Oldest first. */
  #connections: ZdsConnection[] = [];
  #acceptedAtMs: number[] = [];

  constructor(deps: ZdsServerDeps) {
    this.#deps = deps;
  }

  /** True when a proxy is connected and past its hello. */
  get connected(): boolean {
    return this.#connections.some((connection) => connection.established);
  }

  /** Takes over a freshly accepted channel; the snapshot is queued at once, so that no later change can be missed. */
  accept(channel: FdChannel): void {
    const nowMs = this.#deps.clock.nowMs();
    this.#acceptedAtMs = this.#acceptedAtMs.filter((atMs) => nowMs - atMs < 1000);
    if (this.#acceptedAtMs.length >= ACCEPTED_PER_SECOND) {
      this.#deps.logger.warn("A node proxy connects too often and is sent away", { perSecond: ACCEPTED_PER_SECOND });
      channel.close();
      return;
    }
    this.#acceptedAtMs.push(nowMs);
    const connection: ZdsConnection = new ZdsConnection({
      channel,
      clock: this.#deps.clock,
      logger: this.#deps.logger,
      onEstablished: () => this.#count(),
      onClosed: () => {
        this.#connections = this.#connections.filter((other) => other !== connection);
        this.#count();
      },
    });
    this.#connections.push(connection);
    for (const pod of this.#deps.snapshot.list()) {
      this.#inform(connection, isLocated(pod) ? { kind: "add", pod } : { kind: "keep", uid: pod.uid });
    }
    this.#inform(connection, { kind: "snapshotSent" });
  }

  /**
   * Hands the pod to every connected proxy and waits for the newest one. When that one goes away meanwhile, the next newest counts.
   * @throws CNI_ZTUNNEL_NOT_CONNECTED, CNI_ZTUNNEL_REFUSED
   */
  async add(pod: LocatedPod): Promise<void> {
    const answers = this.#connections.map((connection) => {
      connection.cancel(pod.uid);
      return connection.request({ kind: "add", pod });
    });
    let why = "none is connected; is the ztunnel pod of this node running?";
    for (const answer of answers.reverse()) {
      const outcome = await answer;
      if (outcome.kind === "acked") return;
      if (outcome.kind === "refused") {
        throw agentError(
          "CNI_ZTUNNEL_REFUSED",
          `The node proxy could not take pod ${pod.namespace}/${pod.name}: ${outcome.reason}`,
        );
      }
      why = outcome.reason;
    }
    throw agentError("CNI_ZTUNNEL_NOT_CONNECTED", `No node proxy took pod ${pod.namespace}/${pod.name}: ${why}`);
  }

  /** Tells every proxy; nobody waits for the answers. */
  remove(uid: PodUid): void {
    for (const connection of this.#connections) {
      connection.cancel(uid);
      this.#inform(connection, { kind: "del", uid });
    }
  }

  closeAll(): void {
    for (const connection of [...this.#connections]) connection.close("the agent stops");
  }

  #inform(connection: ZdsConnection, order: Order): void {
    void connection.request(order).then((outcome) => this.#logRefusal(order, outcome));
  }

  #logRefusal(order: Order, outcome: Outcome): void {
    if (outcome.kind !== "refused") return;
    const about = order.kind === "add" ? order.pod.uid : order.kind === "snapshotSent" ? "snapshot" : order.uid;
    this.#deps.logger.warn("Node proxy refused a request", { request: order.kind, about, reason: outcome.reason });
  }

  #count(): void {
    this.#deps.metrics.ztunnelConnected.set({}, this.#connections.filter((connection) => connection.established).length);
  }
}
