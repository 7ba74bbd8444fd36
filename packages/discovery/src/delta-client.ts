// Keeps this process told of the mesh: one stream at a time, reopened for as long as it runs.
import {
  ADDRESS_TYPE_URL,
  AUTHORIZATION_TYPE_URL,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  decodeAddress,
  decodeAuthorization,
  type Node,
} from "@ambit/api";
import { type Authorization, asMeshError, Backoff, type Clock, type Counter, type Logger, pause } from "@ambit/core";
import { Code } from "@connectrpc/connect";
import { AsyncQueue } from "./async-queue.ts";
import { type DeltaStreamDeps, type DeltaStreamOptions, openDeltaStream } from "./delta-stream.ts";
import type { AddressResource, MeshUpdate } from "./mesh-update.ts";
import { answerTo, type Received, Subscription } from "./subscription.ts";

/** Counters by the names that dashboards know. */
export interface DiscoveryMetrics {
  /** istio_xds_connection_terminations_total */
  readonly terminations: Counter<"reason">;
  /** istio_xds_message_total */
  readonly messages: Counter<"url">;
  /** istio_xds_message_bytes_total */
  readonly messageBytes: Counter<"url">;
}

export interface DeltaClientDeps extends DeltaStreamDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: DiscoveryMetrics;
  /** Applies one answer; it is acknowledged when this returns. */
  readonly onUpdate: (update: MeshUpdate) => void;
  /** Once: the first answer of both types has been applied. */
  readonly onReady?: () => void;
}

export interface DeltaClientOptions extends DeltaStreamOptions {
  readonly node: Node;
  /** Addresses by `subscribe` only. */
  readonly onDemand?: boolean;
  readonly backoff?: { readonly initialMs: number; readonly maxMs: number; readonly jitter: number };
}

/** Jitter is wide because all proxies of a cluster lose a restarting control plane at the same moment. */
const BACKOFF = { initialMs: 10, maxMs: 15_000, jitter: 0.5 };
/** A stream that lived this long ended for an ordinary reason: the next one is tried without a long wait. */
const STABLE_AFTER_MS = 15_000;

/** Why a stream ended, by the words of the metric. @source ztunnel src/xds/metrics.rs ConnectionTerminationReason */
type Termination = "ConnectionError" | "Error" | "Reconnect" | "Complete";

/**
 * States: idle → running (`run`) → stopped (its signal aborts). While running: connecting → streaming → waiting → connecting.
 * What was learnt stays for as long as the process lives, connected or not.
 */
export class DeltaClient {
  readonly #deps: DeltaClientDeps;
  readonly #options: DeltaClientOptions;
  readonly #addresses: Subscription<AddressResource>;
  readonly #authorizations: Subscription<Authorization>;
  readonly #backoff: Backoff;
  readonly #answered = new Set<string>();
  #requests: AsyncQueue<DeltaDiscoveryRequest> | undefined;
  #streaming = false;

  constructor(deps: DeltaClientDeps, options: DeltaClientOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#backoff = new Backoff(options.backoff ?? BACKOFF);
    this.#addresses = new Subscription({ typeUrl: ADDRESS_TYPE_URL, decode: decodeAddress, onDemand: options.onDemand ?? false });
    this.#authorizations = new Subscription({ typeUrl: AUTHORIZATION_TYPE_URL, decode: decodeAuthorization, onDemand: false });
  }

  /** The first answer of both types has been applied. */
  get ready(): boolean {
    return this.#answered.size === 2;
  }

  /** A stream is open and something was received on it. */
  get connected(): boolean {
    return this.#streaming;
  }

  /**
   * On-demand mode: asks for addresses by `network/ip`, `namespace/hostname` or workload uid, now and on every later stream.
   * A name that does not exist comes back among the removals of an update.
   */
  subscribe(names: Iterable<string>): void {
    const request = this.#addresses.demand(names);
    if (request !== undefined) this.#requests?.put(request);
  }

  unsubscribe(names: Iterable<string>): void {
    const request = this.#addresses.release(names);
    if (request !== undefined) this.#requests?.put(request);
  }

  /** Runs until `signal` aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, metrics } = this.#deps;
    while (!signal.aborted) {
      const startedMs = clock.nowMs();
      const { termination, error } = await this.#runStream(signal);
      if (signal.aborted) return;
      if (clock.nowMs() - startedMs >= STABLE_AFTER_MS) this.#backoff.reset();
      const delayMs = this.#backoff.next();
      metrics.terminations.inc({ reason: termination });
      const fields = { reason: termination, retryInMs: delayMs, ...(error === undefined ? {} : { error: describe(error) }) };
      if (termination === "Reconnect" || termination === "Complete") logger.info("discovery stream ended", fields);
      else logger.warn("discovery stream failed", fields);
      await pause(clock, delayMs, signal);
    }
  }

  async #runStream(signal: AbortSignal): Promise<{ termination: Termination; error?: unknown }> {
    const requests = new AsyncQueue<DeltaDiscoveryRequest>();
    requests.put(this.#addresses.initialRequest(this.#options.node));
    requests.put(this.#authorizations.initialRequest(this.#options.node));
    this.#requests = requests;
    try {
      for await (const response of openDeltaStream(this.#deps, this.#options, requests, signal)) {
        if (!this.#streaming) this.#deps.logger.info("discovery stream opened", { address: this.#options.address });
        this.#streaming = true;
        const answer = this.#onResponse(response);
        requests.put(answer);
      }
      return { termination: "Complete" };
    } catch (error) {
      return { termination: terminationOf(error, this.#streaming), error };
    } finally {
      requests.end();
      this.#requests = undefined;
      this.#streaming = false;
    }
  }

  /** Applies what is good of it and gives the ack or nack. */
  #onResponse(response: DeltaDiscoveryResponse): DeltaDiscoveryRequest {
    const { metrics, logger } = this.#deps;
    const url = response.typeUrl;
    metrics.messages.inc({ url });
    metrics.messageBytes.inc({ url }, sum(response.resources.map((resource) => resource.resource?.value.length ?? 0)));
    switch (url) {
      case ADDRESS_TYPE_URL: {
        const received = this.#addresses.receive(response);
        return this.#finish(url, received, { addresses: received.changes });
      }
      case AUTHORIZATION_TYPE_URL: {
        const received = this.#authorizations.receive(response);
        return this.#finish(url, received, { authorizations: received.changes });
      }
      default:
        logger.warn("discovery sent a type that was not asked for, it is ignored", { url });
        return answerTo(response);
    }
  }

  #finish(url: string, { changes, answer, refused }: Received<unknown>, update: MeshUpdate): DeltaDiscoveryRequest {
    const { logger, onReady, onUpdate } = this.#deps;
    for (const { name, reason } of refused) logger.error("discovery resource refused", { url, name, reason });
    onUpdate(update);
    logger.debug("discovery update", { url, upserts: changes.upserts.length, removals: changes.removals.length });
    const wasReady = this.ready;
    this.#answered.add(url);
    if (this.ready && !wasReady) onReady?.();
    return answer;
  }
}

/** A stream that breaks off together with its connection is reported by any of these. */
const BROKEN_OFF: ReadonlySet<unknown> = new Set([
  Code.Unavailable,
  Code.Unknown,
  Code.Canceled,
  Code.DeadlineExceeded,
  Code.Aborted,
  Code.Internal,
]);

/** `streaming`: something had been received. */
function terminationOf(error: unknown, streaming: boolean): Termination {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  if (BROKEN_OFF.has(code)) return streaming ? "Reconnect" : "ConnectionError";
  // Any other number is a status that the server gave; what has none failed on our side.
  return typeof code === "number" || streaming ? "Error" : "ConnectionError";
}

function describe(error: unknown): string {
  return asMeshError(error, "DISCOVERY_STREAM_ENDED").message;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
