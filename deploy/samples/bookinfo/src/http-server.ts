// A small HTTP server: routes by method and path, JSON and HTML answers, an end on SIGTERM.
import { createServer, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, isIPv6 } from "node:net";

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}

export type Handler = (request: Request) => Promise<Answer> | Answer;

export interface RunningServer {
  readonly port: number;
  close(): Promise<void>;
}

/** `host` undefined listens on every address of both families. */
export async function serveHttp(handler: Handler, port: number, host = "::"): Promise<RunningServer> {
  const server = createServer((incoming, outgoing) => {
    answer(handler, incoming).then(
      ({ status, body, contentType = "application/json", headers = {} }) => {
        outgoing.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body), ...headers });
        outgoing.end(body);
      },
      (error: unknown) => {
        console.error(error);
        outgoing.writeHead(500).end();
      },
    );
  });
  await listening(server, port, host);
  return { port: (server.address() as AddressInfo).port, close: () => closed(server) };
}

/** Serves until SIGTERM or SIGINT, as a container's main process does. */
export async function runHttp(name: string, handler: Handler, args: readonly string[]): Promise<void> {
  const server = await serveHttp(handler, parsePort(args));
  console.log(`${name} listens on port ${server.port}`);
  await terminated();
  await server.close();
}

export function parsePort(args: readonly string[]): number {
  const port = Number(args[0] ?? "9080");
  if (Number.isInteger(port) && port >= 0 && port < 65536) return port;
  console.error(`${args[0]} is not a port`);
  process.exit(64);
}

export function terminated(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
  });
}

export const json = (status: number, value: unknown): Answer => ({ status, body: JSON.stringify(value) });
export const html = (body: string): Answer => ({ status: 200, body, contentType: "text/html; charset=utf-8" });
export const notFound: Answer = json(404, { error: "not found" });

async function answer(handler: Handler, incoming: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const url = new URL(incoming.url ?? "/", "http://server");
  const headers = Object.fromEntries(
    Object.entries(incoming.headers).map(([key, value]) => [key, Array.isArray(value) ? value.join(", ") : value]),
  );
  return handler({
    method: incoming.method ?? "GET",
    path: url.pathname,
    query: url.searchParams,
    headers,
    body: Buffer.concat(chunks).toString("utf8"),
  });
}

function listening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      // A kernel without IPv6 has no wildcard address of that family.
      if (isIPv6(host) && error.code === "EAFNOSUPPORT") listening(server, port, "0.0.0.0").then(resolve, reject);
      else reject(error);
    });
    server.listen({ port, host }, resolve);
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
