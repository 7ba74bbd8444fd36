// Serves delta discovery: every proxy's stream, and pushes to all of them.
import { randomUUID } from "node:crypto";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "@ambit/api";
import type { Clock, Logger } from "@ambit/core";
import type { AmbientIndex, ChangedNames } from "../ambient-index.ts";
import type { Caller } from "../ca/authenticate.ts";
import type { DiscoveryMetrics } from "../metrics.ts";
import { type DebounceOptions, Debouncer } from "../push/debouncer.ts";
import { ProxyConnection } from "./proxy-connection.ts";
import { proxyNodeOf } from "./proxy-node.ts";

export interface DiscoveryServiceDeps {
  readonly index: AmbientIndex;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: DiscoveryMetrics;
}

export class DiscoveryService {
  readonly #deps: DiscoveryServiceDeps;
  readonly #connections = new Set<ProxyConnection>();
  readonly #debouncer: Debouncer;
  readonly #unsubscribe: () => void;

  constructor(deps: DiscoveryServiceDeps, debounce: DebounceOptions) {
    this.#deps = deps;
    this.#debouncer = new Debouncer(deps.clock, debounce, (changed, sinceMs) => this.#pushToAll(changed, sinceMs));
    this.#unsubscribe = deps.index.onChange((changed) => this.#debouncer.add(changed));
  }

  /** Proxies with an open stream. */
  connections(): readonly ProxyConnection[] {
    return [...this.#connections];
  }

  /** Ends every stream, so that proxies go elsewhere or come back. */
  stop(): void {
    this.#unsubscribe();
    for (const connection of this.#connections) connection.end();
  }

  /** One stream, from the first request to its end. @throws ISTIOD_REQUEST_INVALID, ISTIOD_NOT_AUTHORIZED */
  async *serve(
    requests: AsyncIterable<DeltaDiscoveryRequest>,
    caller: Caller,
    signal: AbortSignal,
  ): AsyncGenerator<DeltaDiscoveryResponse> {
    const iterator = requests[Symbol.asyncIterator]();
    const first = await iterator.next();
    if (first.done === true) return;
    const node = proxyNodeOf(first.value.node, caller);
    const connection = new ProxyConnection(`${node.podName}.${node.namespace}-${randomUUID().slice(0, 8)}`, node, this.#deps);
    const end = () => connection.end();
    signal.addEventListener("abort", end);
    this.#connections.add(connection);
    const { logger } = this.#deps;
    logger.info("A proxy is connected", { proxy: node.id, node: node.nodeName, connection: connection.id });
    connection.onRequest(first.value);
    const reading = this.#read(connection, iterator);
    try {
      yield* connection.responses();
    } finally {
      signal.removeEventListener("abort", end);
      this.#connections.delete(connection);
      connection.end();
      logger.info("A proxy is disconnected", { proxy: node.id, connection: connection.id });
      if (signal.aborted) await reading;
    }
  }

  /** A proxy that goes away makes reading fail; its stream ends as by a clean end. */
  async #read(connection: ProxyConnection, requests: AsyncIterator<DeltaDiscoveryRequest>): Promise<void> {
    try {
      for (let next = await requests.next(); next.done !== true; next = await requests.next()) connection.onRequest(next.value);
    } catch (error) {
      this.#deps.logger.debug("A proxy's stream broke off", { proxy: connection.node.id, error });
    }
    connection.end();
  }

  #pushToAll(changed: ChangedNames, sinceMs: number): void {
    const counts = Object.fromEntries([...changed].map(([typeUrl, names]) => [typeUrl.split(".").at(-1), names.size]));
    this.#deps.logger.info("Push", { ...counts, proxies: this.#connections.size });
    for (const connection of this.#connections) connection.push(changed, sinceMs);
  }
}
