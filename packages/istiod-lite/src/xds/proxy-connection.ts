// One proxy's stream: what it watches, what it has acknowledged, what is waiting for it.
import {
  ADDRESS_TYPE_URL,
  AUTHORIZATION_TYPE_URL,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from "@ambit/api";
import type { Clock, Logger } from "@ambit/core";
import { create } from "@bufbuild/protobuf";
import type { AmbientIndex, ChangedNames } from "../ambient-index.ts";
import type { DiscoveryMetrics } from "../metrics.ts";
import { PendingPush } from "../push/pending-push.ts";
import type { ResourceTypeUrl } from "../resource.ts";
import type { ProxyNode } from "./proxy-node.ts";
import { type Delta, Watch } from "./watch.ts";

export interface ProxyConnectionDeps {
  readonly index: AmbientIndex;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: DiscoveryMetrics;
}

/** State of one type on one stream, as the debug pages show it. */
export interface TypeStatus {
  readonly wildcard: boolean;
  readonly keys: number;
  readonly nonceSent: string;
  readonly nonceAcked: string;
  /** What the proxy refused last, until it acknowledges something newer. */
  readonly refused: string;
}

interface TypeState {
  readonly watch: Watch;
  nonceSent: string;
  nonceAcked: string;
  refused: string;
}

const NOTHING: ReadonlySet<string> = new Set();

/** States: open → ended (`end`, or the proxy goes away). */
export class ProxyConnection {
  readonly id: string;
  readonly node: ProxyNode;
  readonly connectedAtMs: number;
  readonly #deps: ProxyConnectionDeps;
  readonly #types = new Map<ResourceTypeUrl, TypeState>();
  readonly #answers: DeltaDiscoveryResponse[] = [];
  readonly #pending = new PendingPush();
  #wake: (() => void) | undefined;
  #ended = false;
  #nonce = 0;

  constructor(id: string, node: ProxyNode, deps: ProxyConnectionDeps) {
    this.id = id;
    this.node = node;
    this.#deps = deps;
    this.connectedAtMs = deps.clock.nowMs();
  }

  status(): ReadonlyMap<ResourceTypeUrl, TypeStatus> {
    return new Map(
      [...this.#types].map(([typeUrl, { watch, nonceSent, nonceAcked, refused }]) => [
        typeUrl,
        { wildcard: watch.wildcard, keys: watch.keyCount, nonceSent, nonceAcked, refused },
      ]),
    );
  }

  onRequest(request: DeltaDiscoveryRequest): void {
    const { typeUrl } = request;
    if (typeUrl !== ADDRESS_TYPE_URL && typeUrl !== AUTHORIZATION_TYPE_URL) {
      this.#deps.logger.warn("a proxy asks for a type that is not served, it gets no answer", { proxy: this.node.id, typeUrl });
      return;
    }
    const known = this.#types.get(typeUrl);
    if (known === undefined) {
      const watch = new Watch(typeUrl, this.#deps.index.table(typeUrl), this.node.nodeName);
      const state = { watch, nonceSent: "", nonceAcked: "", refused: "" };
      this.#types.set(typeUrl, state);
      // Answered even when there is nothing to send: a proxy is ready when it has had one answer of each type.
      this.#answer(state, watch.open(request));
      return;
    }
    if (request.responseNonce !== "") this.#acknowledge(known, request);
    const delta = known.watch.update(request);
    if (delta !== undefined) this.#answer(known, delta);
  }

  /** Merged with what is waiting already. */
  push(changed: ChangedNames, sinceMs: number): void {
    this.#pending.add(changed, sinceMs);
    this.#wake?.();
  }

  /** A clean end of the stream, after what was answered. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The responses of the stream. A push is put together when the one before it was taken, so a slow proxy gets the newest state. */
  async *responses(): AsyncGenerator<DeltaDiscoveryResponse> {
    for (;;) {
      const answer = this.#answers.shift();
      if (answer !== undefined) yield answer;
      else if (this.#ended) return;
      else if (this.#pending.isEmpty) await this.#somethingToDo();
      else yield* this.#takePush();
    }
  }

  /**
   * Policies that are new or changed go first, then addresses, then removals of policies: a workload never names a policy that its
   * proxy does not have.
   */
  *#takePush(): Generator<DeltaDiscoveryResponse> {
    const { changed, sinceMs } = this.#pending.take();
    const [addresses, policies] = [this.#types.get(ADDRESS_TYPE_URL), this.#types.get(AUTHORIZATION_TYPE_URL)];
    const policyDelta = policies?.watch.changesOf(changed.get(AUTHORIZATION_TYPE_URL) ?? NOTHING);
    const addressDelta = addresses?.watch.changesOf(changed.get(ADDRESS_TYPE_URL) ?? NOTHING);
    if (policies !== undefined && policyDelta !== undefined && policyDelta.resources.length > 0)
      yield this.#respond(policies, { resources: policyDelta.resources, removed: [] });
    if (addresses !== undefined && addressDelta !== undefined && !isEmpty(addressDelta))
      yield this.#respond(addresses, addressDelta);
    if (policies !== undefined && policyDelta !== undefined && policyDelta.removed.length > 0)
      yield this.#respond(policies, { resources: [], removed: policyDelta.removed });
    this.#deps.metrics.convergence.observe({}, (this.#deps.clock.nowMs() - sinceMs) / 1000);
  }

  #somethingToDo(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }

  #answer(state: TypeState, delta: Delta): void {
    this.#answers.push(this.#respond(state, delta));
    this.#wake?.();
  }

  #respond(state: TypeState, { resources, removed }: Delta): DeltaDiscoveryResponse {
    const { typeUrl } = state.watch;
    const nonce = `${this.id}-${++this.#nonce}`;
    state.nonceSent = nonce;
    this.#deps.metrics.pushes.inc({ type: shortType(typeUrl) });
    return create(DeltaDiscoveryResponseSchema, {
      typeUrl,
      nonce,
      resources: resources.map(({ name, version, bytes, aliases }) => ({
        name,
        version,
        aliases: [...aliases],
        resource: { typeUrl, value: bytes },
      })),
      removedResources: [...removed],
    });
  }

  #acknowledge(state: TypeState, { responseNonce, errorDetail, typeUrl }: DeltaDiscoveryRequest): void {
    if (errorDetail === undefined) {
      state.nonceAcked = responseNonce;
      state.refused = "";
      return;
    }
    state.refused = errorDetail.message;
    this.#deps.metrics.rejects.inc({ type: shortType(typeUrl) });
    const fields = { proxy: this.node.id, typeUrl, nonce: responseNonce, reason: errorDetail.message };
    this.#deps.logger.warn("a proxy refused resources", fields);
  }
}

function isEmpty({ resources, removed }: Delta): boolean {
  return resources.length === 0 && removed.length === 0;
}

/** As metrics and debug pages name types: `ADDRESS`. */
export function shortType(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf(".") + 1).toUpperCase();
}
