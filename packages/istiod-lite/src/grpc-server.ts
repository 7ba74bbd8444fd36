// The discovery port: gRPC over mutual or server-side TLS, and what each connection shows of itself.
import { createSecureServer, type Http2SecureServer, type Http2ServerRequest, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { TLSSocket } from "node:tls";
import { AggregatedDiscoveryService, type IstioCertificateRequest, IstioCertificateService } from "@ambit/api";
import { type Clock, type Counter, type Logger, MeshError } from "@ambit/core";
import { Code, ConnectError, createContextKey, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Authenticator, Caller, PeerCertificate } from "./ca/authenticate.ts";
import type { CertificateService } from "./ca/certificate-service.ts";
import type { ServingCredentials } from "./ca/serving-certificate.ts";
import type { DiscoveryService } from "./xds/discovery-service.ts";

/** Names and versions of everything that a proxy holds, at most. */
const MAX_DISCOVERY_REQUEST_BYTES = 64 * 1024 * 1024;
/** Read before the caller is known, so there is no more room than a signing request needs. */
const MAX_CERTIFICATE_REQUEST_BYTES = 64 * 1024;
const MAX_STREAMS_PER_CONNECTION = 256;
const PING_INTERVAL_MS = 30_000;
const PING_TIMEOUT_MS = 10_000;

const peerKey = createContextKey<PeerCertificate | undefined>(undefined);

const STATUS: Readonly<Record<string, Code>> = {
  ISTIOD_UNAUTHENTICATED: Code.Unauthenticated,
  // As istiod answers: proxies try again with back-off, the pod may be known in a moment.
  ISTIOD_NOT_AUTHORIZED: Code.Unauthenticated,
  ISTIOD_REQUEST_INVALID: Code.InvalidArgument,
  IDENTITY_CSR_INVALID: Code.InvalidArgument,
};

export interface GrpcServerDeps {
  readonly authenticator: Authenticator;
  readonly discovery: DiscoveryService;
  readonly certificates: CertificateService;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly authenticationFailures: Counter<never>;
}

export class GrpcServer {
  readonly #deps: GrpcServerDeps;
  readonly #server: Http2SecureServer;
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(deps: GrpcServerDeps, credentials: ServingCredentials) {
    this.#deps = deps;
    const handler = connectNodeAdapter({
      routes: (router) =>
        router
          .service(
            AggregatedDiscoveryService,
            { deltaAggregatedResources: (requests, context) => this.#discover(requests, context) },
            { readMaxBytes: MAX_DISCOVERY_REQUEST_BYTES },
          )
          .service(
            IstioCertificateService,
            { createCertificate: (request, context) => this.#sign(request, context) },
            { readMaxBytes: MAX_CERTIFICATE_REQUEST_BYTES },
          ),
      contextValues: (request) => createContextValues().set(peerKey, peerOf(request as Http2ServerRequest)),
      // Both ends are in one cluster: compressing costs more than it saves.
      acceptCompression: [],
      grpcWeb: false,
      connect: false,
    });
    // A certificate is optional, so a bad one is refused by the authenticator, which can say why.
    this.#server = createSecureServer(
      {
        ...{ ...credentials, requestCert: true, rejectUnauthorized: false, minVersion: "TLSv1.2" },
        settings: { maxConcurrentStreams: MAX_STREAMS_PER_CONNECTION },
      },
      handler,
    );
    this.#server.on("session", (session) => this.#onSession(session));
    this.#server.on("sessionError", (error) => deps.logger.debug("A connection failed", { error }));
  }

  /** @returns the port that was bound. @throws ISTIOD_PORT_UNAVAILABLE */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const failed = (cause: Error) =>
        reject(new MeshError("ISTIOD_PORT_UNAVAILABLE", `Cannot listen on ${host}:${port}: ${cause.message}`, { cause }));
      this.#server.once("error", failed);
      this.#server.listen(port, host, () => {
        this.#server.off("error", failed);
        this.#server.on("error", (error) => this.#deps.logger.error("A connection could not be accepted", { error }));
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** New connections get these; old ones keep what they were made with. */
  renew(credentials: ServingCredentials): void {
    this.#server.setSecureContext({ ...credentials, minVersion: "TLSv1.2" });
  }

  /** No new connections; those that are open may finish until the deadline. */
  async close(deadlineMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions) session.close();
    const timer = this.#deps.clock.after(deadlineMs, () => {
      for (const session of this.#sessions) session.destroy();
    });
    await closed;
    timer.cancel();
  }

  async *#discover(requests: Parameters<DiscoveryService["serve"]>[0], context: HandlerContext) {
    const caller = await this.#authenticate(context);
    try {
      yield* this.#deps.discovery.serve(requests, caller, context.signal);
    } catch (error) {
      throw asConnectError(error);
    }
  }

  async #sign(request: IstioCertificateRequest, context: HandlerContext): Promise<{ certChain: string[] }> {
    const caller = await this.#authenticate(context);
    try {
      return { certChain: this.#deps.certificates.create(request, caller) };
    } catch (error) {
      throw asConnectError(error);
    }
  }

  async #authenticate(context: HandlerContext): Promise<Caller> {
    try {
      return await this.#deps.authenticator.authenticate(context.requestHeader.get("authorization"), context.values.get(peerKey));
    } catch (error) {
      this.#deps.authenticationFailures.inc({});
      this.#deps.logger.warn("A caller is not authenticated", { method: context.method.name, error });
      throw asConnectError(error);
    }
  }

  /** A peer that vanished without a word is noticed by pings: nothing else would tell until the next push. */
  #onSession(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    let answered = true;
    const ping = () => {
      if (session.destroyed || session.closed) return;
      answered = false;
      session.ping(() => {
        answered = true;
      });
      timer = this.#deps.clock.after(PING_TIMEOUT_MS, () => {
        if (answered) timer = this.#deps.clock.after(PING_INTERVAL_MS - PING_TIMEOUT_MS, ping);
        else session.destroy();
      });
    };
    let timer = this.#deps.clock.after(PING_INTERVAL_MS, ping);
    session.on("close", () => {
      timer.cancel();
      this.#sessions.delete(session);
    });
    session.on("error", (error) => this.#deps.logger.debug("A connection failed", { error }));
  }
}

function peerOf(request: Http2ServerRequest): PeerCertificate | undefined {
  // Through the session: the request's own socket is a stand-in that hides the methods of TLS.
  const socket = request.stream.session?.socket;
  if (!(socket instanceof TLSSocket)) return undefined;
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? undefined : { certificate, authorized: socket.authorized };
}

/** A failure of ours is not the caller's business: its text stays in our log. */
function asConnectError(error: unknown): unknown {
  if (error instanceof ConnectError || !(error instanceof MeshError)) return error;
  const status = STATUS[error.code];
  if (status !== undefined) return new ConnectError(error.message, status, undefined, undefined, error);
  return new ConnectError("The control plane failed; its log says why", Code.Unavailable, undefined, undefined, error);
}
