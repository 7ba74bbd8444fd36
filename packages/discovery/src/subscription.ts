// One resource type of the delta protocol: what is held, in which version, and what to answer.
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  type Node,
  type Resource as WireResource,
} from "@ambit/api";
import { asMeshError } from "@ambit/core";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ResourceChanges } from "./mesh-update.ts";

export interface SubscriptionOptions<Resource> {
  readonly typeUrl: string;
  /** @throws a MeshError whose message says which field is wrong */
  readonly decode: (bytes: Uint8Array) => Resource;
  /** Only what was asked for by name, instead of everything. */
  readonly onDemand: boolean;
}

export interface Received<Resource> {
  readonly changes: ResourceChanges<Resource>;
  /** Ack, or nack that names every refused resource. */
  readonly answer: DeltaDiscoveryRequest;
  readonly refused: readonly { readonly name: string; readonly reason: string }[];
}

/** Lives longer than any stream: versions held survive a reconnect. */
export class Subscription<Resource> {
  readonly #options: SubscriptionOptions<Resource>;
  readonly #versions = new Map<string, string>();
  readonly #demanded = new Set<string>();

  constructor(options: SubscriptionOptions<Resource>) {
    this.#options = options;
  }

  get typeUrl(): string {
    return this.#options.typeUrl;
  }

  /** Opens the type on a new stream and says what is held already, so that only the rest is sent. */
  initialRequest(node: Node): DeltaDiscoveryRequest {
    const { onDemand } = this.#options;
    return this.#request({
      node,
      initialResourceVersions: Object.fromEntries(this.#versions),
      // Without names the subscription is a wildcard; with `*` taken back at once it is for the names alone.
      ...(onDemand ? { resourceNamesSubscribe: ["*", ...this.#demanded], resourceNamesUnsubscribe: ["*"] } : {}),
    });
  }

  /** Good resources of an answer are kept even when others in it are refused. A refused one leaves what was held of it in place. */
  receive(response: DeltaDiscoveryResponse): Received<Resource> {
    const upserts: { name: string; resource: Resource }[] = [];
    const refused: { name: string; reason: string }[] = [];
    for (const wire of response.resources) {
      const decoded = this.#decode(wire);
      if (typeof decoded === "string") {
        refused.push({ name: wire.name, reason: decoded });
        continue;
      }
      upserts.push({ name: wire.name, resource: decoded.resource });
      this.#versions.set(wire.name, wire.version);
    }
    for (const name of response.removedResources) this.#versions.delete(name);
    const message = refused.map(({ name, reason }) => `${name}: ${reason}`).join("; ");
    const changes = { upserts, removals: response.removedResources };
    return { changes, answer: answerTo(response, message), refused };
  }

  /** The request for those names that were not asked for before; undefined when there are none. */
  demand(names: Iterable<string>): DeltaDiscoveryRequest | undefined {
    const fresh = [...new Set(names)].filter((name) => !this.#demanded.has(name));
    for (const name of fresh) this.#demanded.add(name);
    return fresh.length === 0 ? undefined : this.#request({ resourceNamesSubscribe: fresh });
  }

  /** The opposite of demand. The server does not report removals of what nobody asks for: versions are forgotten too. */
  release(names: Iterable<string>): DeltaDiscoveryRequest | undefined {
    const known = [...new Set(names)].filter((name) => this.#demanded.delete(name));
    for (const name of known) this.#versions.delete(name);
    return known.length === 0 ? undefined : this.#request({ resourceNamesUnsubscribe: known });
  }

  /** The resource, or the reason why not. */
  #decode(wire: WireResource): { readonly resource: Resource } | string {
    if (wire.resource === undefined) return "has no content";
    if (wire.resource.typeUrl !== this.typeUrl) return `is of type ${wire.resource.typeUrl}`;
    try {
      return { resource: this.#options.decode(wire.resource.value) };
    } catch (error) {
      return asMeshError(error, "DISCOVERY_RESOURCE_INVALID").message;
    }
  }

  #request(fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): DeltaDiscoveryRequest {
    return create(DeltaDiscoveryRequestSchema, { ...fields, typeUrl: this.typeUrl });
  }
}

/** Ack, or nack when there is something wrong to tell. */
export function answerTo(response: DeltaDiscoveryResponse, wrong = ""): DeltaDiscoveryRequest {
  return create(DeltaDiscoveryRequestSchema, {
    typeUrl: response.typeUrl,
    responseNonce: response.nonce,
    ...(wrong === "" ? {} : { errorDetail: { code: 0, message: wrong } }),
  });
}
