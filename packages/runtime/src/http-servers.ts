// The process's own HTTP ports: admin on localhost, metrics and readiness for everybody. All fastify.
import { MeshError } from "@ambit/core";
import fastify, { type FastifyInstance } from "fastify";
import type { MetricsRegistry } from "./metrics.ts";
import type { Readiness } from "./readiness.ts";

export interface HttpAddress {
  readonly host: string;
  readonly port: number;
}

/** An instance without logging of its own; routes are added by the caller before `listen`. */
export function httpServer(): FastifyInstance {
  return fastify({ logger: false, forceCloseConnections: true });
}

/** @returns the port that was bound. @throws RUNTIME_PORT_UNAVAILABLE */
export async function listen(server: FastifyInstance, address: HttpAddress | { readonly path: string }): Promise<number> {
  try {
    await server.listen(address);
  } catch (cause) {
    const where = "path" in address ? address.path : `${address.host}:${address.port}`;
    throw new MeshError(
      "RUNTIME_PORT_UNAVAILABLE",
      `Cannot listen on ${where}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  const bound = server.server.address();
  return typeof bound === "object" && bound !== null ? bound.port : 0;
}

const TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8";

/** `/metrics` and, for scrapers set up for the other data plane, `/stats/prometheus`. */
export function addMetricsRoutes(server: FastifyInstance, registry: MetricsRegistry): void {
  for (const path of ["/metrics", "/stats/prometheus"]) {
    server.get(path, async (_request, reply) => reply.type(TEXT_FORMAT).send(await registry.text()));
  }
}

/** 200 `ready`, or 500 with the names of what is still to be done. */
export function addReadinessRoute(server: FastifyInstance, path: string, readiness: Readiness): void {
  server.get(path, async (_request, reply) => {
    if (readiness.ready) return reply.send("ready\n");
    return reply.code(500).send(`not ready, pending: ${readiness.pending().join(", ")}\n`);
  });
}
