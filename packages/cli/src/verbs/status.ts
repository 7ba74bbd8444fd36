// `ambit status`: one screen.
import { EXIT } from "../exit-codes.ts";
import { openMesh } from "../lab-access.ts";
import { controlPlaneVersion, type MeshAccess, type NodeInfo, type PodInfo } from "../mesh-access.ts";
import { nodeDump } from "../node-dump.ts";
import { parseOutputFormat, renderObject, renderTable } from "../output.ts";
import { stringOption, type Verb } from "../verb.ts";
import { formatDuration } from "./cert.ts";
import { outputOption } from "./shared-options.ts";

export const verb: Verb = {
  options: { ...outputOption },
  async run(args, io) {
    const format = parseOutputFormat(stringOption(args, "output"));
    const access = await openMesh(io.env);
    try {
      const status = await collectStatus(access, Date.now());
      io.out(await renderObject("Status", status, statusText(status), format));
      return status.healthy ? EXIT.ok : EXIT.negative;
    } finally {
      await access.close();
    }
  },
};

interface ProxyStatus {
  readonly node: string;
  readonly reachable: boolean;
  readonly problem: string | undefined;
  readonly pods: number;
  readonly pending: number;
  readonly workloads: number;
  readonly policies: number;
  readonly connections: number;
  readonly certificates: number;
  /** Of the certificate that expires first. */
  readonly leftMs: number | undefined;
}

export interface Status {
  readonly healthy: boolean;
  readonly controlPlane: { readonly reachable: boolean; readonly version: string | undefined };
  readonly nodes: readonly NodeInfo[];
  readonly proxies: readonly ProxyStatus[];
  readonly pods: readonly PodInfo[];
}

export async function collectStatus(access: MeshAccess, nowMs: number): Promise<Status> {
  const [nodes, pods] = await Promise.all([access.nodes(), access.pods()]);
  const version = await controlPlaneVersion(access).catch(() => undefined);
  const proxies = await Promise.all(nodes.map((node) => proxyStatus(access, node.name, nowMs)));
  const healthy =
    version !== undefined &&
    proxies.every((proxy) => proxy.reachable && proxy.pending === 0 && (proxy.leftMs ?? 1) > 0) &&
    pods.every((pod) => !pod.wantsMesh || pod.redirection === "enabled");
  return { healthy, controlPlane: { reachable: version !== undefined, version }, nodes, proxies, pods };
}

async function proxyStatus(access: MeshAccess, node: string, nowMs: number): Promise<ProxyStatus> {
  try {
    const dump = await nodeDump(access, node);
    const states = Object.values(dump.workloadState ?? {});
    const left = dump.certificates.flatMap(({ certChain }) =>
      certChain[0] === undefined ? [] : [Date.parse(certChain[0].expirationTime) - nowMs],
    );
    return {
      node,
      reachable: true,
      problem: undefined,
      pods: states.filter(({ state }) => state === "Up").length,
      pending: states.filter(({ state }) => state !== "Up").length,
      workloads: dump.workloads.length,
      policies: dump.policies.length,
      connections: states.reduce(
        (sum, { connections }) => sum + (connections?.inbound.length ?? 0) + (connections?.outbound.length ?? 0),
        0,
      ),
      certificates: dump.certificates.length,
      leftMs: left.length === 0 ? undefined : Math.min(...left),
    };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return {
      node,
      reachable: false,
      problem,
      pods: 0,
      pending: 0,
      workloads: 0,
      policies: 0,
      connections: 0,
      certificates: 0,
      leftMs: undefined,
    };
  }
}

function statusText(status: Status): string {
  const { controlPlane, proxies, pods } = status;
  const sections = [
    `control plane  ${controlPlane.reachable ? `ok  istiod-lite ${controlPlane.version}` : "NOT REACHABLE"}\n`,
    renderTable([
      ["NODE", "PROXY", "PODS", "PENDING", "WORKLOADS", "POLICIES", "CONNECTIONS", "CERTIFICATES", "FIRST EXPIRES IN"],
      ...proxies.map((proxy) => [
        proxy.node,
        proxy.reachable ? "ok" : `DOWN: ${proxy.problem}`,
        ...(proxy.reachable
          ? [proxy.pods, proxy.pending, proxy.workloads, proxy.policies, proxy.connections, proxy.certificates].map(String)
          : []),
        proxy.leftMs === undefined ? "" : formatDuration(proxy.leftMs),
      ]),
    ]),
    renderTable([
      ["NAMESPACE", "POD", "NODE", "ADDRESS", "READY", "RESTARTS", "MESH"],
      ...pods.map((pod) => [
        pod.namespace,
        pod.name,
        pod.node,
        pod.ips[0] ?? "",
        pod.ready ? "yes" : "no",
        String(pod.restarts),
        meshState(pod),
      ]),
    ]),
    status.healthy ? "healthy\n" : "not healthy: ambit check says what and what to do\n",
  ];
  return sections.join("\n");
}

function meshState(pod: PodInfo): string {
  if (pod.redirection === "enabled") return "enrolled";
  if (!pod.wantsMesh) return "-";
  return pod.redirection === "pending" ? "PENDING" : "NOT ENROLLED";
}
