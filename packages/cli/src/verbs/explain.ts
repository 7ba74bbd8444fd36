// `ambit explain`.
import type { IpAddress, Service, SocketAddress, Workload } from "@ambit/core";
import { keyOf, type MeshView } from "@ambit/decide";
import { parseMeshDump } from "@ambit/discovery";
import { cliError } from "../errors.ts";
import { EXIT } from "../exit-codes.ts";
import { explainConnection } from "../explain-connection.ts";
import { openMesh } from "../lab-access.ts";
import type { MeshAccess } from "../mesh-access.ts";
import { nodeDump } from "../node-dump.ts";
import { parseOutputFormat, renderObject } from "../output.ts";
import { findService, findWorkloads, parseTarget, type Target } from "../target.ts";
import { stringOption, type Verb, type VerbArguments } from "../verb.ts";
import { meshOptions, outputOption } from "./shared-options.ts";

export const verb: Verb = {
  options: {
    ...meshOptions,
    ...outputOption,
    from: { type: "string", placeholder: "TYPE/NAME", help: "Who connects: deploy/NAME, pod/NAME or sa/NAME" },
    to: { type: "string", placeholder: "TYPE/NAME[:PORT]", help: "What is dialled: svc/NAME, pod/NAME or deploy/NAME" },
    port: { type: "string", placeholder: "PORT", help: "Port dialled; by default the service's first" },
  },
  async run(args, io) {
    const format = parseOutputFormat(stringOption(args, "output"));
    const namespace = stringOption(args, "namespace") ?? "default";
    const from = parseTarget(required(args, "from"), namespace);
    const to = parseTarget(required(args, "to"), namespace);
    const access = await openMesh(io.env);
    try {
      const views = await viewsByNode(access);
      const { source, view } = findSource(from, views);
      const { destination, service } = findDestination(to, portOf(args, to), view);
      const explanation = explainConnection({
        sourceView: view.mesh,
        viewOfNode: (node) => views.get(node)?.mesh,
        source,
        destination,
        ...(service === undefined ? {} : { service }),
      });
      const { outcome, lines, endpoints } = explanation;
      io.out(await renderObject("Explanation", { outcome, lines, endpoints }, lines.join("\n"), format));
      return outcome === "allow" ? EXIT.ok : EXIT.negative;
    } finally {
      await access.close();
    }
  },
};

interface NodeView {
  readonly mesh: MeshView;
  readonly workloads: readonly Workload[];
  readonly services: readonly Service[];
}

/** What each node's proxy holds right now; a proxy that does not answer is left out, and its pods are judged by the source's view. */
async function viewsByNode(access: MeshAccess): Promise<ReadonlyMap<string, NodeView>> {
  const views = new Map<string, NodeView>();
  for (const node of await access.nodes()) {
    const dump = await nodeDump(access, node.name).catch(() => undefined);
    if (dump === undefined) continue;
    const mesh = parseMeshDump(dump);
    views.set(node.name, { mesh, workloads: mesh.workloads(), services: mesh.services() });
  }
  if (views.size === 0) throw cliError("CLI_API_FAILED", "No node proxy answers; ambit status shows which are down");
  return views;
}

function required(args: VerbArguments, name: string): string {
  const value = stringOption(args, name);
  if (value === undefined)
    throw cliError(
      "CLI_USAGE",
      `--${name} is missing; for example ambit explain --from deploy/productpage-v1 --to svc/ratings -n bookinfo`,
    );
  return value;
}

function portOf(args: VerbArguments, to: Target): number | undefined {
  const text = stringOption(args, "port");
  if (text === undefined) return to.port;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw cliError("CLI_USAGE", `--port ${text} is not a port`);
  return port;
}

/** Seen through the proxy of its own node where that one answers. */
function findSource(from: Target, views: ReadonlyMap<string, NodeView>): { source: Workload; view: NodeView } {
  for (const view of views.values()) {
    const found = findWorkloads(from, view.workloads)[0];
    if (found === undefined) continue;
    const own = views.get(found.node) ?? view;
    return { source: findWorkloads(from, own.workloads)[0] ?? found, view: own };
  }
  throw cliError(
    "CLI_NOT_FOUND",
    `${from.kind}/${from.name} has no running pod in namespace ${from.namespace}; ambit status lists them`,
  );
}

function findDestination(
  to: Target,
  port: number | undefined,
  view: NodeView,
): { destination: SocketAddress; service: Service | undefined } {
  if (to.kind === "svc") {
    const service = findService(to, view.services);
    if (service === undefined) throw cliError("CLI_NOT_FOUND", `There is no service ${to.namespace}/${to.name} in the mesh`);
    const dialled = port ?? service.ports[0]?.servicePort;
    const ip: IpAddress | undefined = service.addresses[0]?.ip ?? view.mesh.endpoints(keyOf(service))[0]?.workload.addresses[0];
    if (ip === undefined || dialled === undefined)
      throw cliError("CLI_NOT_FOUND", `Service ${to.namespace}/${to.name} has no address or no port to dial`);
    return service.addresses.length > 0
      ? { destination: { ip, port: dialled }, service }
      : { destination: { ip, port: dialled }, service: undefined };
  }
  const workload = findWorkloads(to, view.workloads)[0];
  const ip = workload?.addresses[0];
  if (workload === undefined || ip === undefined)
    throw cliError("CLI_NOT_FOUND", `${to.kind}/${to.name} has no running pod in namespace ${to.namespace}`);
  if (port === undefined)
    throw cliError("CLI_USAGE", `A pod is dialled by port: add --port, or write ${to.kind}/${to.name}:9080`);
  return { destination: { ip, port }, service: undefined };
}
