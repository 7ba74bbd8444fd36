// HAProxy in TCP mode at both ends: plaintext in, mutual TLS 1.3 between, plaintext out. One thread each.
import { readFileSync, writeFileSync } from "node:fs";
import type { Contender } from "../contender.ts";
import { processTree } from "../processes.ts";
import { BULK_PORT, eventuallyListening, HTTP_PORT, type Rig, SERVER_IP, SERVICE_IP } from "../rig.ts";

const BULK_IN = 23001;
const HTTP_IN = 24001;
const BULK_TLS = 23008;
const HTTP_TLS = 24008;

export const haproxy: Contender = {
  name: "haproxy",
  async start(rig) {
    for (const side of ["a", "b"]) {
      writeFileSync(
        rig.path(`${side}.both`),
        readFileSync(rig.path(`${side}.pem`), "utf8") + readFileSync(rig.path(`${side}.key`), "utf8"),
      );
    }
    const pair = await rig.pair("haproxy");
    const out = `ssl crt ${rig.path("a.both")} ca-file ${rig.path("ca.pem")} verify required verifyhost ambit-bench-b ssl-min-ver TLSv1.3 no-ssl-reuse`;
    const outbound = start(rig, pair.client, "haproxy-a", [
      ["bulk", `127.0.0.1:${BULK_IN}`, `${SERVER_IP}:${BULK_TLS} ${out}`],
      ["http", `127.0.0.1:${HTTP_IN}`, `${SERVER_IP}:${HTTP_TLS} ${out}`],
    ]);
    const tls = `ssl crt ${rig.path("b.both")} ca-file ${rig.path("ca.pem")} verify required ssl-min-ver TLSv1.3 no-tls-tickets`;
    const inbound = start(rig, pair.server, "haproxy-b", [
      ["bulk", `${SERVER_IP}:${BULK_TLS} ${tls}`, `${SERVER_IP}:${BULK_PORT}`],
      ["http", `${SERVER_IP}:${HTTP_TLS} ${tls}`, `${SERVER_IP}:${HTTP_PORT}`],
    ]);
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

function start(
  rig: Rig,
  netns: string,
  name: string,
  listens: readonly (readonly [name: string, bind: string, server: string])[],
) {
  const blocks = listens.map(([title, bind, server]) => `listen ${title}\n  bind ${bind}\n  server s ${server}\n`);
  const conf = rig.path(`${name}.cfg`);
  writeFileSync(
    conf,
    `global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
${blocks.join("")}`,
  );
  return rig.start(netns, `${name}.log`, "haproxy", ["-f", conf]);
}
