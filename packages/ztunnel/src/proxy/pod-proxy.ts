// The listeners of one pod in one worker, and everything that goes through them.
import {
  INBOUND_HBONE_PORT,
  INBOUND_PLAINTEXT_PORT,
  type IpAddress,
  MeshError,
  OUTBOUND_PORT,
  parseIp,
  type SpiffeId,
} from "@ambit/core";
import type { Listener, TcpConnection } from "@ambit/engine";
import { createHbonePool, type HboneServerSession } from "@ambit/hbone";
import { type Netns, netnsFromToken } from "@ambit/linux";
import { DnsServer } from "../dns/dns-server.ts";
import type { HostResolver } from "../dns/host-resolver.ts";
import type { LocalPod } from "../worker-messages.ts";
import { serveInbound } from "./inbound.ts";
import { serveInboundPlaintext } from "./inbound-plaintext.ts";
import { serveOutbound } from "./outbound.ts";
import type { PodContext } from "./pod-context.ts";
import { migrateQueuedConnections, podHasIpv6 } from "./pod-kernel.ts";
import type { WorkerContext } from "./worker-context.ts";

/** States: listening → draining (`drain`) → ending its sessions (`release`) → closed (`close`). */
export class PodProxy {
  readonly pod: LocalPod;
  readonly #context: PodContext;
  readonly #netns: Netns;
  readonly #listeners: Listener[] = [];
  #dns: DnsServer | undefined;
  #isDraining = false;
  #closedBy: MeshError | undefined;

  /** Opens all ports, or none. @throws ENGINE_LISTEN_FAILED, LINUX_NETNS_INVALID */
  constructor(worker: WorkerContext, pod: LocalPod, resolver: HostResolver) {
    this.pod = pod;
    this.#netns = netnsFromToken(pod.netns);
    this.#context = {
      worker,
      pod,
      netns: this.#netns,
      pool: createHbonePool(worker.engine, {
        idleReleaseMs: worker.data.poolIdleMs,
        tunnelsPerSession: worker.data.poolMaxStreams,
      }),
      sessions: new Set<HboneServerSession>(),
      isDraining: () => this.#isDraining,
      closedBy: () => this.#closedBy,
    };
    try {
      this.#open(resolver);
    } catch (error) {
      this.close(new MeshError("ZTUNNEL_POD_LISTEN_FAILED", "The pod's ports could not be opened", { cause: error }));
      throw error;
    }
  }

  /** Peers that dialled this pod. */
  get sessions(): number {
    return this.#context.sessions.size;
  }

  /** A newer certificate has come: no new tunnel uses sessions of the old one. */
  renewed(identity: SpiffeId): void {
    this.#context.pool.retire(identity);
  }

  /** The certificate is gone: peers may finish what they have, and open nothing new. */
  lost(identity: SpiffeId): void {
    this.#context.pool.retire(identity);
    for (const session of this.#context.sessions) session.drain();
  }

  /** Nothing new is accepted; what has been accepted may go on, also to new tunnels. */
  drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    for (const listener of this.#listeners) listener.close();
    this.#listeners.length = 0;
    this.#dns?.drain();
    for (const session of this.#context.sessions) session.drain();
  }

  /** Nobody here needs another tunnel: sessions to peers end in order. */
  release(): void {
    this.#context.pool.drain();
  }

  /** No session in either direction, and no question of the pod is left. */
  get isIdle(): boolean {
    const { sessions, pool } = this.#context;
    return sessions.size === 0 && pool.sessions === 0 && (this.#dns?.isIdle ?? true);
  }

  /** Everything ends now. */
  close(reason: MeshError): void {
    this.drain();
    this.#closedBy = reason;
    this.#dns?.close();
    const { worker, pod, pool, sessions } = this.#context;
    worker.admission.forget(pod, reason);
    worker.connections.abortPod(pod.uid, reason);
    pool.close(reason);
    for (const session of [...sessions]) session.close(reason);
    this.#netns.close();
  }

  /** In the order in which a pod's traffic may start to need them. */
  #open(resolver: HostResolver): void {
    const context = this.#context;
    const { data, post } = context.worker;
    const flaw = migrateQueuedConnections(this.#netns);
    if (flaw !== undefined) {
      const fields = { pod: `${this.pod.namespace}/${this.pod.name}`, error: flaw };
      post({ kind: "log", level: "debug", message: "queued connections will not move to another listener", fields });
    }
    const ipv6 = data.ipv6 && podHasIpv6(this.#netns);
    if (data.dns !== undefined) this.#dns = new DnsServer(context, data.dns, localAddresses(ipv6));
    this.#listen(INBOUND_HBONE_PORT, true, (connection) => serveInbound(context, connection));
    this.#listen(INBOUND_PLAINTEXT_PORT, true, (connection) => serveInboundPlaintext(context, connection));
    this.#listen(OUTBOUND_PORT, false, (connection) => serveOutbound(context, resolver, connection));
  }

  #listen(port: number, transparent: boolean, onAccept: (connection: TcpConnection) => void): void {
    const { engine, data } = this.#context.worker;
    const options = { netns: this.#netns, address: "any", port, mark: data.mark, transparent } as const;
    this.#listeners.push(engine.listenTcp(options, onAccept));
  }
}

function localAddresses(ipv6: boolean): IpAddress[] {
  return (ipv6 ? ["127.0.0.1", "::1"] : ["127.0.0.1"]).map(parseIp).filter((ip) => ip !== undefined);
}
