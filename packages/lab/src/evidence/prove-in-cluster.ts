// The lab's own parts as what a proof needs.
import { text } from "node:stream/consumers";
import { listKind } from "@ambit/kube";
import type { ProveReport } from "../api/contract.ts";
import type { Cluster } from "../cluster.ts";
import { PORTS } from "../components/mesh.ts";
import { labError, messageOf } from "../errors.ts";
import type { ProcessSpec } from "../namespaced-process.ts";
import { signalGroup, startPiped } from "../namespaced-process.ts";
import { httpIn } from "../network/http-in.ts";
import { frontendsOf } from "../services/frontends.ts";
import { prove } from "./prove.ts";

const ADMIN_TIMEOUT_MS = 10_000;
const EXEC_TIMEOUT_MS = 15_000;
/** Of every node, on the wire that joins them. */
const NODE_DEVICE = "eth0";

export interface ProofTarget {
  readonly namespace: string;
  /** The pod's own name. */
  readonly pod: string;
  readonly url: string;
}

/** @throws LAB_NOT_FOUND when the pod does not run; LAB_REQUEST_INVALID; LAB_PROOF_FAILED */
export async function proveInCluster(cluster: Cluster, { namespace, pod, url }: ProofTarget): Promise<ProveReport> {
  const worker = cluster.kubelet.worker(namespace, pod);
  const { sandbox } = worker;
  if (sandbox === undefined || worker.execSpec([]) === undefined)
    throw labError("LAB_NOT_FOUND", `Pod ${pod} has no container yet`);
  const nodes = cluster.nodes.map(({ name }) => name);
  return prove(
    { url },
    {
      wire: nodes.map((netns) => ({ netns, device: NODE_DEVICE })),
      cable: { netns: sandbox.node.name, device: sandbox.hostInterface },
      sourceIps: [sandbox.ips[4], sandbox.ips[6]],
      nodes: cluster.options.mesh ? nodes : [],
      admin: (node, method, path) =>
        httpIn({ netns: node, ip: "127.0.0.1", port: PORTS.ztunnelAdmin }, path, {
          timeoutMs: ADMIN_TIMEOUT_MS,
          userAgent: "ambit-lab",
          method,
        }),
      exec: (command) => {
        const spec = worker.execSpec(command);
        if (spec === undefined) throw labError("LAB_NOT_FOUND", `Pod ${pod} has no container any more`);
        return run(spec);
      },
      endpointsOf: (ip, port) => endpointsOf(cluster, ip, port),
    },
  );
}

function endpointsOf({ source }: Cluster, ip: string, port: number): readonly { ip: string; port: number }[] {
  const frontends = frontendsOf(listKind(source, "Service"), listKind(source, "EndpointSlice"), ip.includes(":") ? 6 : 4);
  return frontends.find((frontend) => frontend.ip === ip && frontend.port === port)?.endpoints ?? [{ ip, port }];
}

/** Both outputs to their ends; what takes too long is ended. */
async function run(spec: ProcessSpec): Promise<{ stdout: string; stderr: string }> {
  const child = startPiped(spec);
  const failed = new Promise<never>((_resolve, reject) => {
    child.on("error", (error) => reject(labError("LAB_PROOF_FAILED", `No command runs in the pod: ${messageOf(error)}`, error)));
  });
  child.stdin?.end();
  const timer = setTimeout(() => signalGroup(child, "SIGKILL"), EXEC_TIMEOUT_MS);
  try {
    const outputs = [child.stdout, child.stderr].map(async (stream) => (stream === null ? "" : text(stream)));
    const [stdout = "", stderr = ""] = await Promise.race([Promise.all(outputs), failed]);
    return { stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}
