// What the proxies have counted.
import { ambit, expectThat, NAMESPACE, nodeNames, type Step } from "./stage.ts";

const SECURED =
  /^istio_tcp_connections_opened_total\{(?=[^}]*reporter="(?<reporter>\w+)")(?=[^}]*connection_security_policy="mutual_tls")[^}]*\} (?<value>\d+)$/gm;

export const metrics: Step = {
  title: "Metrics of both node proxies",
  async run(stage) {
    for (const node of await nodeNames(stage)) {
      const text = await stage.client.ztunnelMetrics(node);
      const opened = { source: 0, destination: 0 };
      for (const { groups } of text.matchAll(SECURED)) {
        if (groups?.["reporter"] === "source") opened.source += Number(groups["value"]);
        else opened.destination += Number(groups?.["value"]);
      }
      expectThat(opened.source + opened.destination > 0, `${node} has counted no connection over mutual TLS`);
      stage.say(`${node}: ${opened.source} connections out and ${opened.destination} in over mutual TLS`);
    }
    const edges = await ambit(stage, "edges", "-n", NAMESPACE);
    expectThat(edges.exitCode === 0, `ambit edges: ${edges.output}`);
    stage.say(`$ ambit edges -n ${NAMESPACE}`);
    for (const line of edges.output.split("\n")) stage.say(line);
  },
};
