// A control plane in the test's own process: a real gRPC server that holds resources and can misbehave on request.
import { createHash } from "node:crypto";
import { createSecureServer, createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import {
  ADDRESS_TYPE_URL,
  AggregatedDiscoveryService,
  AUTHORIZATION_TYPE_URL,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  encodeAddress,
  encodeAuthorization,
} from "@ambit/api";
import { type Authorization, policyKey, type Service, type Workload } from "@ambit/core";
import { create } from "@bufbuild/protobuf";
import { type Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";

export interface FakeControlPlaneOptions {
  /** PEM. Without it the server speaks without TLS, at an `http:` address. */
  readonly tls?: { readonly certChain: string; readonly privateKey: string };
  /** 0 for any. */
  readonly port?: number;
}

interface Held {
  readonly version: string;
  readonly bytes: Uint8Array;
}

/** One stream as the server saw it. */
export class FakeStream {
  readonly requests: DeltaDiscoveryRequest[] = [];
  readonly headers: Headers;
  /** By type: what it wants. `undefined` is everything. */
  readonly wanted = new Map<string, Set<string> | undefined>();
  readonly #queue: DeltaDiscoveryResponse[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(headers: Headers) {
    this.headers = headers;
  }

  /** Requests that answer a response, of one type. */
  answers(typeUrl: string): DeltaDiscoveryRequest[] {
    return this.requests.filter((request) => request.typeUrl === typeUrl && request.responseNonce !== "");
  }

  /** The request that opened the type. */
  opening(typeUrl: string): DeltaDiscoveryRequest | undefined {
    return this.requests.find((request) => request.typeUrl === typeUrl && request.responseNonce === "");
  }

  send(response: DeltaDiscoveryResponse): void {
    this.#queue.push(response);
    this.#wake?.();
  }

  /** A clean end, after what was sent. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *responses(): AsyncGenerator<DeltaDiscoveryResponse> {
    for (;;) {
      const response = this.#queue.shift();
      if (response !== undefined) yield response;
      else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

export class FakeControlPlane {
  /** Every stream there has been, in the order of opening. */
  readonly streams: FakeStream[] = [];
  readonly #open = new Set<FakeStream>();
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #resources = new Map<string, Map<string, Held>>([
    [ADDRESS_TYPE_URL, new Map()],
    [AUTHORIZATION_TYPE_URL, new Map()],
  ]);
  readonly #options: FakeControlPlaneOptions;
  #server: Http2Server | undefined;
  #port = 0;
  #nonce = 0;
  #refusal: Code | undefined;

  constructor(options: FakeControlPlaneOptions = {}) {
    this.#options = options;
    this.#port = options.port ?? 0;
  }

  /** `http://127.0.0.1:port` or `https://localhost:port`. */
  get address(): string {
    return this.#options.tls === undefined ? `http://127.0.0.1:${this.#port}` : `https://localhost:${this.#port}`;
  }

  /** Streams that have not ended. */
  get openStreams(): number {
    return this.#open.size;
  }

  /** The newest stream. */
  get stream(): FakeStream {
    const stream = this.streams.at(-1);
    if (stream === undefined) throw new Error("No stream has been opened");
    return stream;
  }

  /** Listens; after `stop` on the same port again. */
  async start(): Promise<this> {
    const { tls } = this.#options;
    const handler = connectNodeAdapter({
      routes: (router) =>
        router.service(AggregatedDiscoveryService, {
          deltaAggregatedResources: (requests, context) => this.#serve(requests, context.requestHeader, context.signal),
        }),
    });
    const server =
      tls === undefined ? createServer(handler) : createSecureServer({ cert: tls.certChain, key: tls.privateKey }, handler);
    server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
      session.on("error", () => this.#sessions.delete(session));
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, tls === undefined ? "127.0.0.1" : "localhost", resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    return this;
  }

  /** Connections break off, nobody listens. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    this.breakConnections();
    await closed;
  }

  /** Every connection breaks off without a word. */
  breakConnections(): void {
    for (const session of this.#sessions) session.destroy();
  }

  /** Streams opened from now on fail with this status; undefined ends it. */
  refuse(code: Code | undefined): void {
    this.#refusal = code;
  }

  setWorkload(...workloads: Workload[]): void {
    const entries = workloads.map((workload) => [workload.uid, encodeAddress({ kind: "workload", workload })] as const);
    this.set(ADDRESS_TYPE_URL, ...entries);
  }

  setService(...services: Service[]): void {
    const entries = services.map(
      (service) => [`${service.namespace}/${service.hostname}`, encodeAddress({ kind: "service", service })] as const,
    );
    this.set(ADDRESS_TYPE_URL, ...entries);
  }

  setPolicy(...policies: Authorization[]): void {
    const entries = policies.map((policy) => [policyKey(policy.namespace, policy.name), encodeAuthorization(policy)] as const);
    this.set(AUTHORIZATION_TYPE_URL, ...entries);
  }

  /** Any bytes under any name; all of one call go out in one answer. */
  set(typeUrl: string, ...entries: readonly (readonly [name: string, bytes: Uint8Array])[]): void {
    const held = this.#held(typeUrl);
    for (const [name, bytes] of entries)
      held.set(name, { version: createHash("sha256").update(bytes).digest("hex").slice(0, 16), bytes });
    const names = entries.map(([name]) => name);
    for (const stream of this.#open) this.#push(stream, typeUrl, names, []);
  }

  remove(typeUrl: string, ...names: string[]): void {
    for (const name of names) this.#held(typeUrl).delete(name);
    for (const stream of this.#open) this.#push(stream, typeUrl, [], names);
  }

  async *#serve(
    requests: AsyncIterable<DeltaDiscoveryRequest>,
    headers: Headers,
    signal: AbortSignal,
  ): AsyncGenerator<DeltaDiscoveryResponse> {
    const stream = new FakeStream(headers);
    this.streams.push(stream);
    if (this.#refusal !== undefined) throw new ConnectError("refused by the test", this.#refusal);
    this.#open.add(stream);
    signal.addEventListener("abort", () => stream.end());
    // A client that goes away makes reading fail; the stream then ends as it does by its signal.
    const reading = this.#read(stream, requests).catch(() => stream.end());
    try {
      yield* stream.responses();
    } finally {
      this.#open.delete(stream);
      stream.end();
      if (signal.aborted) await reading;
    }
  }

  async #read(stream: FakeStream, requests: AsyncIterable<DeltaDiscoveryRequest>): Promise<void> {
    for await (const request of requests) {
      stream.requests.push(request);
      if (request.responseNonce !== "") continue;
      const { typeUrl } = request;
      const isFirst = !stream.wanted.has(typeUrl);
      const names = request.resourceNamesSubscribe.filter((name) => name !== "*");
      if (isFirst) stream.wanted.set(typeUrl, request.resourceNamesUnsubscribe.includes("*") ? new Set() : undefined);
      const wanted = stream.wanted.get(typeUrl);
      for (const name of names) wanted?.add(name);
      for (const name of request.resourceNamesUnsubscribe) wanted?.delete(name);
      if (isFirst) this.#answerOpening(stream, request);
      else if (names.length > 0) this.#answerDemand(stream, typeUrl, names);
    }
    stream.end();
  }

  /** Addresses that the proxy has in the same version are left out; policies always come in full. */
  #answerOpening(stream: FakeStream, { typeUrl, initialResourceVersions: versions }: DeltaDiscoveryRequest): void {
    const held = this.#held(typeUrl);
    const isCurrent = (name: string) => typeUrl === ADDRESS_TYPE_URL && versions[name] === held.get(name)?.version;
    const wanted = stream.wanted.get(typeUrl) ?? held.keys();
    const names = [...wanted].filter((name) => held.has(name) && !isCurrent(name));
    this.#push(
      stream,
      typeUrl,
      names,
      Object.keys(versions).filter((name) => !held.has(name)),
      true,
    );
  }

  /** A name that does not exist comes back as removed. */
  #answerDemand(stream: FakeStream, typeUrl: string, names: readonly string[]): void {
    const held = this.#held(typeUrl);
    const [known, unknown] = [names.filter((name) => held.has(name)), names.filter((name) => !held.has(name))];
    this.#push(stream, typeUrl, known, unknown, true);
  }

  #push(stream: FakeStream, typeUrl: string, names: readonly string[], removed: readonly string[], always = false): void {
    if (!stream.wanted.has(typeUrl)) return;
    const wanted = stream.wanted.get(typeUrl);
    const isWanted = (name: string) => wanted === undefined || wanted.has(name);
    const resources = names.filter(isWanted).flatMap((name) => {
      const held = this.#held(typeUrl).get(name);
      return held === undefined ? [] : [{ name, version: held.version, resource: { typeUrl, value: held.bytes } }];
    });
    const removedResources = removed.filter((name) => always || isWanted(name));
    if (!always && resources.length === 0 && removedResources.length === 0) return;
    stream.send(create(DeltaDiscoveryResponseSchema, { typeUrl, nonce: `n${++this.#nonce}`, resources, removedResources }));
  }

  #held(typeUrl: string): Map<string, Held> {
    const held = this.#resources.get(typeUrl) ?? new Map<string, Held>();
    this.#resources.set(typeUrl, held);
    return held;
  }
}
