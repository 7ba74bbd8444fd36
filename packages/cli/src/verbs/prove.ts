// `ambit prove`.
import { parseMeshDump } from "@ambit/discovery";
import { cliError } from "../errors.ts";
import { EXIT } from "../exit-codes.ts";
import { openMesh } from "../lab-access.ts";
import { LabApi, labSocket } from "../lab-api.ts";
import type { MeshAccess } from "../mesh-access.ts";
import { nodeDump } from "../node-dump.ts";
import { parseOutputFormat, renderObject } from "../output.ts";
import { type ProofReport, proofLines } from "../proof-lines.ts";
import { deploymentOf, findService, parseTarget, type Target } from "../target.ts";
import { stringOption, type Verb, type VerbArguments } from "../verb.ts";
import { meshOptions, outputOption } from "./shared-options.ts";

export const verb: Verb = {
  options: {
    ...meshOptions,
    ...outputOption,
    from: { type: "string", placeholder: "TYPE/NAME", help: "Who makes the request: pod/NAME or deploy/NAME" },
    to: { type: "string", placeholder: "TYPE/NAME[:PORT]", help: "What is asked: svc/NAME, pod/NAME or deploy/NAME" },
    port: { type: "string", placeholder: "PORT", help: "Port asked; by default the service's first" },
    path: { type: "string", placeholder: "PATH", help: "Path of the HTTP request, / when absent" },
    tcp: { type: "boolean", help: "Send the marker over plain TCP instead of an HTTP request" },
  },
  async run(args, io) {
    const format = parseOutputFormat(stringOption(args, "output"));
    const namespace = stringOption(args, "namespace") ?? "default";
    const from = parseTarget(required(args, "from"), namespace);
    const to = parseTarget(required(args, "to"), namespace);
    if (from.kind !== "pod" && from.kind !== "deploy") {
      throw cliError("CLI_USAGE", `${from.kind}/${from.name} cannot make a request; use pod/NAME or deploy/NAME`);
    }
    const access = await openMesh(io.env);
    const api = new LabApi(labSocket(io.env));
    try {
      const url = await urlOf(args, to, access);
      const pod = `${from.kind}/${from.name}`;
      const report = await api.json<ProofReport>("POST", "/prove", { namespace: from.namespace, pod, url });
      const text = proofLines(`${from.namespace}/${from.name}`, report).join("\n");
      io.out(await renderObject("Proof", report, text, format));
      return report.isProven ? EXIT.ok : EXIT.negative;
    } finally {
      await Promise.all([api.close(), access.close()]);
    }
  },
};

function required(args: VerbArguments, name: string): string {
  const value = stringOption(args, name);
  if (value === undefined)
    throw cliError(
      "CLI_USAGE",
      `--${name} is missing; for example ambit prove --from deploy/productpage-v1 --to svc/details -n bookinfo`,
    );
  return value;
}

async function urlOf(args: VerbArguments, to: Target, access: MeshAccess): Promise<string> {
  const host = to.kind === "svc" ? `${to.name}.${to.namespace}` : await podAddress(to, access);
  const port = portOf(args) ?? to.port ?? (await servicePort(to, access));
  if (args.options["tcp"] === true) return `tcp://${host}:${port}`;
  const path = stringOption(args, "path") ?? "/";
  if (!path.startsWith("/")) throw cliError("CLI_USAGE", `--path ${path} must begin with /`);
  return `http://${host}:${port}${path}`;
}

function portOf(args: VerbArguments): number | undefined {
  const text = stringOption(args, "port");
  if (text === undefined) return undefined;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw cliError("CLI_USAGE", `--port ${text} is not a port`);
  return port;
}

async function podAddress({ kind, name, namespace }: Target, access: MeshAccess): Promise<string> {
  if (kind !== "pod" && kind !== "deploy") {
    throw cliError("CLI_USAGE", `${kind}/${name} cannot be asked; use svc/NAME, pod/NAME or deploy/NAME`);
  }
  const pods = (await access.pods()).filter((pod) => pod.namespace === namespace);
  const pod = pods.find((candidate) => (kind === "pod" ? candidate.name : deploymentOf(candidate.name)) === name);
  const ip = pod?.ips[0];
  if (ip === undefined)
    throw cliError("CLI_NOT_FOUND", `${kind}/${name} has no running pod in namespace ${namespace}; ambit status lists them`);
  return ip.includes(":") ? `[${ip}]` : ip;
}

/** The first one that a node proxy knows of. */
async function servicePort(to: Target, access: MeshAccess): Promise<number> {
  if (to.kind !== "svc") throw cliError("CLI_USAGE", `A pod is asked by port: add --port, or write ${to.kind}/${to.name}:9080`);
  for (const { name } of await access.nodes()) {
    const dump = await nodeDump(access, name).catch(() => undefined);
    if (dump === undefined) continue;
    const port = findService(to, parseMeshDump(dump).services())?.ports[0]?.servicePort;
    if (port !== undefined) return port;
  }
  throw cliError(
    "CLI_NOT_FOUND",
    `No node proxy knows a service ${to.namespace}/${to.name}; name its port to ask it nevertheless: svc/${to.name}:9080`,
  );
}
