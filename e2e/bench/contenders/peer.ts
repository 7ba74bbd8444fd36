// Any further pair, given as a directory with start scripts: `--peer DIR`.
import { basename } from "node:path";
import type { Contender } from "../contender.ts";
import { processTree } from "../processes.ts";
import { BULK_PORT, eventuallyListening, HTTP_PORT, SERVER_IP, SERVICE_IP } from "../rig.ts";

/**
 * The directory holds two executables, `start-client` and `start-server`; each stays in the foreground as the proxy of its side.
 * They get in the environment: CERTS (directory with a.pem a.key b.pem b.key ca.pem; a is the client's side), SERVER_IP, HTTP_PORT and
 * BULK_PORT (where the server listens), HTTP_IN and BULK_IN (where the client side must listen on 127.0.0.1), HTTP_TLS and BULK_TLS
 * (two ports that the server side may use between the proxies).
 */
export function peer(directory: string): Contender {
  const ports = { HTTP_IN: "26001", BULK_IN: "27001", HTTP_TLS: "26008", BULK_TLS: "27008" };
  return {
    name: basename(directory),
    async start(rig) {
      const pair = await rig.pair("peer");
      const env = { ...ports, CERTS: rig.directory, SERVER_IP, HTTP_PORT: String(HTTP_PORT), BULK_PORT: String(BULK_PORT) };
      const inbound = rig.start(pair.server, "peer-b.log", `${directory}/start-server`, [], env);
      const outbound = rig.start(pair.client, "peer-a.log", `${directory}/start-client`, [], env);
      rig.redirect(pair.client, { http: Number(ports.HTTP_IN), bulk: Number(ports.BULK_IN) });
      await eventuallyListening(pair.client, Number(ports.HTTP_IN));
      return {
        target: {
          clientNetns: pair.client,
          httpUrl: `http://${SERVICE_IP}:${HTTP_PORT}/`,
          bulk: { host: SERVICE_IP, port: BULK_PORT },
        },
        pids: () => [...processTree(outbound.pid ?? 0), ...processTree(inbound.pid ?? 0)],
        stop: async () => {},
      };
    },
  };
}
