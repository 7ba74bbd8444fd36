// `ambit config node/NAME`.
import { cliError } from "../errors.ts";
import { EXIT } from "../exit-codes.ts";
import { openMesh } from "../lab-access.ts";
import { type NodeDump, nodeDump } from "../node-dump.ts";
import { parseOutputFormat, renderListing, renderObject } from "../output.ts";
import { parseTarget } from "../target.ts";
import { stringOption, type Verb } from "../verb.ts";
import { outputOption } from "./shared-options.ts";

const SECTIONS = ["workloads", "services", "policies", "certificates", "connections"] as const;
type Section = (typeof SECTIONS)[number];

export const verb: Verb = {
  options: {
    ...outputOption,
    section: { type: "string", placeholder: "SECTION", help: SECTIONS.join(", ") },
  },
  async run(args, io) {
    const target = parseTarget(args.positionals[0] ?? "", "");
    if (target.kind !== "node")
      throw cliError("CLI_USAGE", `ambit config shows a node's proxy; give node/NAME instead of ${args.positionals[0]}`);
    const format = parseOutputFormat(stringOption(args, "output"));
    const section = parseSection(stringOption(args, "section"));
    const access = await openMesh(io.env);
    try {
      const dump = await nodeDump(access, target.name);
      io.err(`answered by the ztunnel of node ${target.name}\n`);
      if (section === undefined) io.out(await renderObject("NodeConfig", dump, summary(dump), format));
      else {
        const items = rowsOf(dump, section);
        const columns = Object.keys(items[0] ?? { EMPTY: "" }).map((title) => ({
          title,
          value: (item: Row) => item[title] ?? "",
        }));
        io.out(
          await renderListing(
            { kind: `${section}List`, items, columns, nameOf: (item) => `${section}/${Object.values(item)[0]}` },
            format,
          ),
        );
      }
      return EXIT.ok;
    } finally {
      await access.close();
    }
  },
};

function parseSection(text: string | undefined): Section | undefined {
  const section = SECTIONS.find((candidate) => candidate === text);
  if (text !== undefined && section === undefined)
    throw cliError("CLI_USAGE", `--section ${text} is not one of ${SECTIONS.join(", ")}`);
  return section;
}

type Row = Readonly<Record<string, string>>;

function summary(dump: NodeDump): string {
  const connections = rowsOf(dump, "connections").length;
  return `workloads ${dump.workloads.length}, services ${dump.services.length}, policies ${dump.policies.length}, certificates ${dump.certificates.length}, connections ${connections}\nuse --section NAME, or -o json for all of it`;
}

function rowsOf(dump: NodeDump, section: Section): Row[] {
  switch (section) {
    case "workloads":
      return (dump.workloads as readonly Record<string, unknown>[]).map((w) => ({
        NAMESPACE: String(w["namespace"]),
        NAME: String(w["name"]),
        ADDRESS: (w["workloadIps"] as readonly string[] | undefined)?.join(",") ?? "",
        NODE: String(w["node"] ?? ""),
        PROTOCOL: String(w["protocol"]),
        STATUS: String(w["status"]),
      }));
    case "services":
      return (dump.services as readonly Record<string, unknown>[]).map((s) => ({
        NAMESPACE: String(s["namespace"]),
        NAME: String(s["name"]),
        VIPS: (s["vips"] as readonly string[] | undefined)?.join(",") ?? "",
        ENDPOINTS: String(Object.keys((s["endpoints"] as object | undefined) ?? {}).length),
      }));
    case "policies":
      return (dump.policies as readonly Record<string, unknown>[]).map((p) => ({
        NAMESPACE: String(p["namespace"]),
        NAME: String(p["name"]),
        ACTION: String(p["action"]),
        SCOPE: String(p["scope"]),
      }));
    case "certificates":
      return dump.certificates.map((c) => ({
        IDENTITY: c.identity,
        STATE: c.state,
        SERIAL: c.certChain[0]?.serialNumber ?? "",
        "NOT AFTER": c.certChain[0]?.expirationTime ?? "",
      }));
    case "connections":
      return Object.values(dump.workloadState ?? {}).flatMap(({ info, connections }) =>
        (["inbound", "outbound"] as const).flatMap((direction) =>
          (connections?.[direction] ?? []).map((c) => ({
            WORKLOAD: `${info.namespace}/${info.name}`,
            DIRECTION: direction,
            FROM: c.src,
            TO: c.actualDst,
            "ORIGINAL TO": c.originalDst ?? "",
          })),
        ),
      );
  }
}
