// The mesh's own processes: one control plane, an agent and a node proxy on every node.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { CLUSTER_DOMAIN, CONTROL_PLANE, type LabNode, type Machine, SYSTEM_NAMESPACE } from "../network/plan.ts";
import { type LabPaths, PROGRAMS } from "../paths.ts";
import type { ComponentSpec } from "./component.ts";
import { TOKEN_ISSUER } from "./tokens.ts";

export const PORTS = {
  discovery: 15012,
  controlPlaneHttp: 15014,
  ztunnelAdmin: 15000,
  ztunnelMetrics: 15020,
  ztunnelReady: 15021,
};
const AGENT_HEALTH_PORT = 8000;
export const COMPONENTS = { controlPlane: "istiod-lite", agent: "agent", ztunnel: "ztunnel" } as const;

export interface MeshSettings {
  readonly paths: LabPaths;
  readonly tokenKeysFile: string;
  readonly tokenFileOf: (podName: string) => string;
  readonly resolvConf: string;
  /** Added to the environment of all components, for example log levels and certificate lifetimes. */
  readonly env: Readonly<Record<string, string>>;
}

export function controlPlaneSpec({ paths, tokenKeysFile, resolvConf, env }: MeshSettings): ComponentSpec {
  return {
    component: COMPONENTS.controlPlane,
    machine: CONTROL_PLANE,
    podName: `istiod-lite-${suffix()}`,
    serviceAccount: "istiod",
    labels: { app: "istiod", "app.kubernetes.io/name": "istiod-lite" },
    readiness: { port: PORTS.controlPlaneHttp, path: "/ready" },
    stopGraceMs: 5_000,
    logFile: paths.log(COMPONENTS.controlPlane),
    process: () => ({
      ...program(PROGRAMS.controlPlane, CONTROL_PLANE, resolvConf),
      env: {
        SOURCE_DIR: paths.objects,
        CA_DIR: paths.ca,
        TOKEN_KEYS_FILE: tokenKeysFile,
        TOKEN_ISSUER,
        TRUST_DOMAIN: CLUSTER_DOMAIN,
        CLUSTER_ID: "Kubernetes",
        GRPC_PORT: String(PORTS.discovery),
        HTTP_PORT: String(PORTS.controlPlaneHttp),
        SERVER_NAMES: [
          "istiod.istio-system.svc",
          `istiod.${SYSTEM_NAMESPACE}.svc`,
          CONTROL_PLANE.ips[4],
          CONTROL_PLANE.ips[6],
        ].join(","),
        ...env,
      },
    }),
  };
}

export function agentSpec(node: LabNode, { paths, resolvConf, env }: MeshSettings): ComponentSpec {
  const run = paths.node(node.name);
  return {
    component: COMPONENTS.agent,
    machine: node,
    podName: `ambit-cni-node-${suffix()}`,
    serviceAccount: "ambit-cni",
    labels: { app: "ambit-cni-node", "k8s-app": "ambit-cni-node" },
    readiness: { port: AGENT_HEALTH_PORT, path: "/readyz" },
    stopGraceMs: 5_000,
    logFile: paths.log(`${COMPONENTS.agent}-${node.name}`),
    process: () => ({
      ...program(PROGRAMS.agent, node, resolvConf),
      env: {
        NODE_NAME: node.name,
        SOURCE_DIR: paths.objects,
        SYSTEM_NAMESPACE,
        CNI_AGENT_RUN_DIR: run,
        ZTUNNEL_UDS_ADDRESS: zdsSocket(run),
        AMBIT_CNI_HEALTH_PORT: String(AGENT_HEALTH_PORT),
        ...env,
      },
    }),
  };
}

export function ztunnelSpec(node: LabNode, { paths, tokenFileOf, resolvConf, env }: MeshSettings): ComponentSpec {
  const podName = `ztunnel-${suffix()}`;
  const controlPlane = `https://${CONTROL_PLANE.ips[4]}:${PORTS.discovery}`;
  const roots = join(paths.ca, "root-cert.pem");
  return {
    component: COMPONENTS.ztunnel,
    machine: node,
    podName,
    serviceAccount: "ztunnel",
    labels: { app: "ztunnel", "app.kubernetes.io/name": "ztunnel" },
    readiness: { port: PORTS.ztunnelReady, path: "/healthz/ready" },
    stopGraceMs: 10_000,
    logFile: paths.log(`${COMPONENTS.ztunnel}-${node.name}`),
    process: () => ({
      ...program(PROGRAMS.ztunnel, node, resolvConf),
      env: {
        NODE_NAME: node.name,
        POD_NAME: podName,
        POD_NAMESPACE: SYSTEM_NAMESPACE,
        INSTANCE_IP: node.ips[4],
        CLUSTER_ID: "Kubernetes",
        TRUST_DOMAIN: CLUSTER_DOMAIN,
        XDS_ADDRESS: controlPlane,
        CA_ADDRESS: controlPlane,
        XDS_ROOT_CA: roots,
        CA_ROOT_CA: roots,
        AUTH_TOKEN: tokenFileOf(podName),
        INPOD_UDS: zdsSocket(paths.node(node.name)),
        ...env,
      },
    }),
  };
}

function program(main: string, { name }: Machine, resolvConf: string) {
  return { argv: [process.execPath, main], cwd: "/", netns: name, resolvConf };
}

function zdsSocket(runDirectory: string): string {
  return join(runDirectory, "ztunnel.sock");
}

/** Five characters, like the ends of generated names in Kubernetes. */
function suffix(): string {
  return randomBytes(3).toString("hex").slice(0, 5);
}
