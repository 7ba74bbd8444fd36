// nginx `stream` at both ends: plaintext in, mutual TLS 1.3 between, plaintext out. One worker each.
import { writeFileSync } from "node:fs";
import type { Contender } from "../contender.ts";
import { processTree } from "../processes.ts";
import { BULK_PORT, eventuallyListening, HTTP_PORT, type Rig, SERVER_IP, SERVICE_IP } from "../rig.ts";

const BULK_IN = 21001;
const HTTP_IN = 22001;
const BULK_TLS = 21008;
const HTTP_TLS = 22008;

export const nginx: Contender = {
  name: "nginx",
  async start(rig) {
    const pair = await rig.pair("nginx");
    const outbound = start(rig, pair.client, "nginx-a", clientServers(rig));
    const inbound = start(rig, pair.server, "nginx-b", serverServers(rig));
    rig.redirect(pair.client, { http: HTTP_IN, bulk: BULK_IN });
    await eventuallyListening(pair.client, HTTP_IN);
    await eventuallyListening(pair.server, HTTP_TLS);
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

function start(rig: Rig, netns: string, name: string, servers: string) {
  const conf = rig.path(`${name}.conf`);
  writeFileSync(
    conf,
    `load_module /usr/lib/nginx/modules/ngx_stream_module.so;
worker_processes 1; daemon off; pid ${rig.path(`${name}.pid`)}; error_log ${rig.path(`${name}.err`)};
events { worker_connections 9000; }
stream { proxy_buffer_size 64k;
${servers}}
`,
  );
  return rig.start(netns, `${name}.log`, "nginx", ["-p", rig.directory, "-c", conf]);
}

function clientServers(rig: Rig): string {
  const tls = `proxy_ssl on; proxy_ssl_protocols TLSv1.3; proxy_ssl_session_reuse off; proxy_ssl_verify on; proxy_ssl_verify_depth 2; proxy_ssl_name ${"ambit-bench-b"};
    proxy_ssl_certificate ${rig.path("a.pem")}; proxy_ssl_certificate_key ${rig.path("a.key")}; proxy_ssl_trusted_certificate ${rig.path("ca.pem")};`;
  return `  server { listen 127.0.0.1:${BULK_IN}; proxy_pass ${SERVER_IP}:${BULK_TLS}; ${tls} }
  server { listen 127.0.0.1:${HTTP_IN} backlog=4096; proxy_pass ${SERVER_IP}:${HTTP_TLS}; ${tls} }
`;
}

function serverServers(rig: Rig): string {
  const tls = `ssl_protocols TLSv1.3; ssl_certificate ${rig.path("b.pem")}; ssl_certificate_key ${rig.path("b.key")};
    ssl_client_certificate ${rig.path("ca.pem")}; ssl_verify_client on; ssl_verify_depth 2;`;
  return `  ssl_session_tickets off;
  server { listen ${SERVER_IP}:${BULK_TLS} ssl backlog=4096; ${tls} proxy_pass ${SERVER_IP}:${BULK_PORT}; }
  server { listen ${SERVER_IP}:${HTTP_TLS} ssl backlog=4096; ${tls} proxy_pass ${SERVER_IP}:${HTTP_PORT}; }
`;
}
