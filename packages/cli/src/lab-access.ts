// The mesh of the lab that runs on this machine.
import { existsSync } from "node:fs";
import { type Environment, LabApi, labSocket } from "./lab-api.ts";
import type { MeshAccess, NodeInfo, PodInfo } from "./mesh-access.ts";

/** What labd tells; more fields than these. */
interface LabState {
  readonly nodes: readonly NodeInfo[];
  readonly pods: readonly (Omit<PodInfo, "redirection"> & { readonly redirection: string | null })[];
}

/** Whether a lab has been started and not ended; it may still not answer. */
export function hasLab(env: Environment): boolean {
  return existsSync(labSocket(env));
}

/** Connects at the first question. @throws CLI_NO_LAB then */
export async function openMesh(env: Environment): Promise<MeshAccess> {
  const api = new LabApi(labSocket(env));
  const state = () => api.json<LabState>("GET", "/state");
  return {
    nodes: async () =>
      (await state()).nodes.map(({ name, address, components }) => ({
        name,
        address,
        components: components.map(({ component, pod, running, restarts }) => ({ component, pod, running, restarts })),
      })),
    pods: async () => (await state()).pods.map(podInfo),
    ztunnel: (node, path) => api.text("GET", `/ztunnel/${encodeURIComponent(node)}${path}`),
    ztunnelMetrics: (node) => api.text("GET", `/ztunnel-metrics/${encodeURIComponent(node)}`),
    controlPlane: (path) => api.text("GET", `/control-plane${path}`),
    close: () => api.close(),
  };
}

function podInfo(pod: LabState["pods"][number]): PodInfo {
  const { name, namespace, node, ips, serviceAccount, phase, ready, restarts, wantsMesh, redirection } = pod;
  return { name, namespace, node, ips, serviceAccount, phase, ready, restarts, wantsMesh, redirection: redirection ?? undefined };
}
