// The admin pages: what the proxy holds, its log levels, and how to stop it. On localhost only, since anybody who reaches it may do so.
import { httpServer, type LogOutput, parseLogFilter } from "@ambit/runtime";
import { addHandshakeSecretRoutes, type HandshakeSecrets } from "./handshake-secrets.ts";

export interface AdminDeps {
  readonly dump: () => object;
  readonly secrets: HandshakeSecrets;
  readonly output: LogOutput;
  readonly initialFilter: string;
  readonly stop: () => void;
}

const INDEX = `/config_dump   GET   workloads, services, policies, certificates, pods and connections
/logging       POST  ?level=FILTER or ?reset; without either, prints the filter
/quitquitquit  POST  graceful stop
/debug/handshake_secrets
               POST  ?seconds=N: collects the secrets of new handshakes; GET gives them in NSS key log format
`;

/** Routes only; the caller listens. @source ztunnel src/admin.rs */
export function createAdminServer({ dump, secrets, output, initialFilter, stop }: AdminDeps): ReturnType<typeof httpServer> {
  const server = httpServer();
  server.get("/", async () => INDEX);
  server.get("/config_dump", async (_request, reply) =>
    reply.type("application/json").send(JSON.stringify(dump(), undefined, 2)),
  );
  server.post<{ Querystring: { level?: string; reset?: string } }>("/logging", async (request, reply) => {
    const { level, reset } = request.query;
    const text = reset === undefined ? level : initialFilter;
    if (text !== undefined) {
      const filter = parseLogFilter(text);
      if (filter === undefined) {
        return reply.code(400).send(`"${text}" is not a filter; use a level, or levels by scope such as info,access=debug\n`);
      }
      output.setFilter(filter);
    }
    return reply.send(`current log level is ${output.filter.text}\n`);
  });
  server.post("/quitquitquit", async () => {
    stop();
    return "shutting down\n";
  });
  addHandshakeSecretRoutes(server, secrets);
  return server;
}
