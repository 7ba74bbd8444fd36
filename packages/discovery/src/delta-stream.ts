// One stream to the control plane: connected with the credentials of the moment, closed with its connection.
import { AggregatedDiscoveryService, type DeltaDiscoveryRequest, type DeltaDiscoveryResponse } from "@ambit/api";
import { type Clock, MeshError } from "@ambit/core";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import type { RootSource, TokenSource } from "./credential-sources.ts";

const PING_INTERVAL_MS = 30_000;
const PING_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 5_000;
const MAX_MESSAGE_BYTES = 200 * 1024 * 1024;

export interface DeltaStreamOptions {
  /** `host:port` or a URL. Without a scheme it is https. */
  readonly address: string;
  /** The name that the server's certificate must show, when it is not the host of the address. */
  readonly serverName?: string;
  readonly clusterId: string;
  /** Sent with every stream. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface DeltaStreamDeps {
  readonly clock: Clock;
  readonly readRoots: RootSource;
  readonly readToken: TokenSource;
}

/**
 * Yields the answers to `requests` until the server ends the stream, something breaks, or `signal` aborts.
 * @throws ConnectError with the RPC status, or a MeshError; either way nothing is left open
 */
export async function* openDeltaStream(
  deps: DeltaStreamDeps,
  options: DeltaStreamOptions,
  requests: AsyncIterable<DeltaDiscoveryRequest>,
  signal: AbortSignal,
): AsyncGenerator<DeltaDiscoveryResponse> {
  const baseUrl = options.address.includes("://") ? options.address : `https://${options.address}`;
  const [roots, token] = await Promise.all([deps.readRoots(), deps.readToken()]);
  const session = new Http2SessionManager(
    baseUrl,
    { pingIntervalMs: PING_INTERVAL_MS, pingTimeoutMs: PING_TIMEOUT_MS },
    baseUrl.startsWith("https:") ? { ca: roots, ...(options.serverName ? { servername: options.serverName } : {}) } : {},
  );
  try {
    await connect(session, deps.clock, baseUrl, signal);
    const transport = createGrpcTransport({ baseUrl, sessionManager: session, readMaxBytes: MAX_MESSAGE_BYTES });
    const headers = new Headers({ ...options.headers, clusterid: options.clusterId });
    if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
    const client = createClient(AggregatedDiscoveryService, transport);
    yield* client.deltaAggregatedResources(requests, { headers, signal });
  } finally {
    session.abort();
  }
}

async function connect(session: Http2SessionManager, clock: Clock, url: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const giveUp = (reason: string) =>
    session.abort(new MeshError("DISCOVERY_STREAM_ENDED", `Cannot connect to ${url}: ${reason}`));
  const timer = clock.after(CONNECT_TIMEOUT_MS, () => giveUp(`no connection after ${CONNECT_TIMEOUT_MS} ms`));
  const onAbort = () => giveUp("stopped");
  signal.addEventListener("abort", onAbort);
  try {
    if ((await session.connect()) !== "error") return;
    const cause = session.error();
    if (cause instanceof MeshError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MeshError("DISCOVERY_STREAM_ENDED", `Cannot connect to ${url}: ${reason}`, { cause });
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", onAbort);
  }
}
