// `ambit edges`.
import { type Edge, edgesOf } from "../edges.ts";
import { EXIT } from "../exit-codes.ts";
import { openMesh } from "../lab-access.ts";
import { parseMetrics } from "../metrics-text.ts";
import { parseOutputFormat, renderListing } from "../output.ts";
import { stringOption, type Verb } from "../verb.ts";
import { meshOptions, outputOption } from "./shared-options.ts";

export const verb: Verb = {
  options: {
    ...meshOptions,
    ...outputOption,
    "insecure-only": { type: "boolean", help: "Only edges without mutual TLS" },
    denied: { type: "boolean", help: "Only edges with denied connections" },
  },
  async run(args, io) {
    const format = parseOutputFormat(stringOption(args, "output"));
    const namespace = stringOption(args, "namespace");
    const access = await openMesh(io.env);
    try {
      const nodes = await access.nodes();
      const texts = await Promise.all(nodes.map((node) => access.ztunnelMetrics(node.name)));
      const edges = edgesOf(texts.flatMap(parseMetrics)).filter(
        (edge) =>
          (namespace === undefined || edge.sourceNamespace === namespace || edge.destinationNamespace === namespace) &&
          (args.options["insecure-only"] !== true || !edge.encrypted) &&
          (args.options["denied"] !== true || edge.denied > 0),
      );
      io.out(
        await renderListing(
          { kind: "EdgeList", items: edges, columns, nameOf: (edge) => `edge/${edge.source}/${edge.destination}` },
          format,
        ),
      );
      io.err(`from ${nodes.length} of ${nodes.length} node proxies, since each started\n`);
      return EXIT.ok;
    } finally {
      await access.close();
    }
  },
};

const columns = [
  { title: "FROM", value: (edge: Edge) => `${edge.sourceNamespace}/${edge.source}` },
  { title: "TO", value: (edge: Edge) => `${edge.destinationNamespace}/${edge.destination}` },
  { title: "SERVICE", value: (edge: Edge) => edge.service },
  { title: "MTLS", value: (edge: Edge) => (edge.encrypted ? "yes" : "NO") },
  { title: "OPENED", value: (edge: Edge) => String(edge.opened) },
  { title: "DENIED", value: (edge: Edge) => String(edge.denied) },
  { title: "FAILED", value: (edge: Edge) => String(edge.failed) },
  { title: "BYTES TO", value: (edge: Edge) => String(edge.bytesReceived) },
  { title: "BYTES BACK", value: (edge: Edge) => String(edge.bytesSent) },
  { title: "FROM IDENTITY", wide: true, value: (edge: Edge) => edge.sourceIdentity },
  { title: "TO IDENTITY", wide: true, value: (edge: Edge) => edge.destinationIdentity },
];
