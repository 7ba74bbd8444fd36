// This project: istiod-lite, and for each side a node agent and a ztunnel, as in a cluster. Policy, records, metrics, access log on.
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { DirectorySource } from "@ambit/kube";
import { eventually } from "@ambit/testkit";
import type { Contender } from "../contender.ts";
import { meshObjects, podUid, SIDES, type Side, SYSTEM_NAMESPACE } from "../mesh-objects.ts";
import { TokenSigner } from "../mesh-tokens.ts";
import { processTree } from "../processes.ts";
import { BULK_PORT, HTTP_PORT, type NetnsPair, type Rig, SERVICE_IP } from "../rig.ts";

const GRPC_PORT = 25012;
const START_TIMEOUT_MS = 30_000;
const POD_OF_SIDE = { a: "client", b: "server" } as const;

export const ambit: Contender = {
  name: "ambit",
  async start(rig) {
    const pair = await rig.pair("ambit");
    rig.routeService(pair.client);
    const objects = writeObjects(rig);
    const roots = await startControlPlane(rig, objects);
    const pids: number[] = [];
    for (const side of SIDES) {
      startAgent(rig, pair, objects, side);
      pids.push(startZtunnel(rig, roots, side));
    }
    await enrolled(objects);
    await known("client", "server");
    return {
      target: {
        clientNetns: pair.client,
        httpUrl: `http://${SERVICE_IP}:${HTTP_PORT}/`,
        bulk: { host: SERVICE_IP, port: BULK_PORT },
      },
      pids: () => pids.flatMap(processTree),
      stop: async () => {},
    };
  },
};

const signer = new TokenSigner();

function main(name: string): string {
  return fileURLToPath(new URL(`../../../packages/${name}/main.ts`, import.meta.url));
}

function writeObjects(rig: Rig): string {
  const directory = rig.path("objects");
  mkdirSync(directory);
  writeFileSync(
    `${directory}/mesh.yaml`,
    meshObjects()
      .map((object) => JSON.stringify(object))
      .join("\n---\n"),
  );
  return directory;
}

/** @returns the file of roots */
async function startControlPlane(rig: Rig, objects: string): Promise<string> {
  mkdirSync(rig.path("ca"));
  writeFileSync(rig.path("keys.json"), signer.keySet);
  rig.startHere("istiod-lite.log", process.execPath, [main("istiod-lite/src")], {
    SOURCE_DIR: objects,
    CA_DIR: rig.path("ca"),
    TOKEN_KEYS_FILE: rig.path("keys.json"),
    GRPC_PORT: String(GRPC_PORT),
    HTTP_PORT: "25014",
    SERVER_NAMES: "localhost",
    TRUSTED_ZTUNNEL_ACCOUNTS: `${SYSTEM_NAMESPACE}/ztunnel`,
  });
  const roots = rig.path("ca/root-cert.pem");
  await eventually(() => readFileSync(roots, "utf8").includes("END CERTIFICATE"), { timeoutMs: START_TIMEOUT_MS });
  return roots;
}

/** In a namespace of its own, where its rules for the node stay; it finds the pod in a directory that holds only this pair's. */
function startAgent(rig: Rig, pair: NetnsPair, objects: string, side: Side): void {
  const netns = rig.namespace(`ambit-node-${side}`);
  const run = rig.path(`agent-${side}`);
  mkdirSync(`${run}/netns`, { recursive: true });
  symlinkSync(`/run/netns/${side === "a" ? pair.client : pair.server}`, `${run}/netns/${POD_OF_SIDE[side]}`);
  rig.start(netns, `agent-${side}.log`, process.execPath, [main("cni-plugin/src/agent")], {
    NODE_NAME: `node-${side}`,
    SOURCE_DIR: objects,
    SYSTEM_NAMESPACE,
    CNI_AGENT_RUN_DIR: run,
    ZTUNNEL_UDS_ADDRESS: zdsSocket(rig, side),
    NETNS_DIR: `${run}/netns`,
  });
}

function startZtunnel(rig: Rig, roots: string, side: Side): number {
  const name = `ztunnel-${side}`;
  const pod = { name, uid: podUid(name) };
  const subject = { namespace: SYSTEM_NAMESPACE, serviceAccount: "ztunnel", pod, node: `node-${side}` };
  writeFileSync(rig.path(`${name}.token`), signer.token(subject));
  const child = rig.startHere(`${name}.log`, process.execPath, [main("ztunnel/src")], {
    NODE_NAME: `node-${side}`,
    POD_NAME: name,
    POD_NAMESPACE: SYSTEM_NAMESPACE,
    INPOD_UDS: zdsSocket(rig, side),
    XDS_ADDRESS: `https://localhost:${GRPC_PORT}`,
    CA_ADDRESS: `https://localhost:${GRPC_PORT}`,
    XDS_ROOT_CA: roots,
    CA_ROOT_CA: roots,
    AUTH_TOKEN: rig.path(`${name}.token`),
    ADMIN_PORT: String(adminPort(side)),
    STATS_PORT: String(adminPort(side) + 1),
    READINESS_PORT: String(adminPort(side) + 2),
    // As the other contenders: one thread carries.
    ZTUNNEL_WORKER_THREADS: "1",
  });
  return child.pid ?? 0;
}

function adminPort(side: Side): number {
  return side === "a" ? 25100 : 25110;
}

function zdsSocket(rig: Rig, side: Side): string {
  return rig.path(`agent-${side}/zds.sock`);
}

/** The client's proxy knows both pods as members of the mesh: what it learns later it would send in plaintext, and be refused. */
async function known(...pods: readonly string[]): Promise<void> {
  await eventually(
    async () => {
      const dump = (await (await fetch(`http://127.0.0.1:${adminPort("a")}/config_dump`)).json()) as Dump;
      const members = dump.workloads.filter(({ protocol }) => protocol === "HBONE").map(({ name }) => name);
      return pods.every((pod) => members.includes(pod));
    },
    { timeoutMs: START_TIMEOUT_MS },
  );
}

interface Dump {
  readonly workloads: readonly { readonly name: string; readonly protocol: string }[];
}

/** Both pods carry the agents' mark that their traffic is redirected and served. */
async function enrolled(objects: string): Promise<void> {
  const stop = new AbortController();
  const source = new DirectorySource({ directory: objects });
  await source.start(stop.signal);
  const isEnrolled = (name: string) =>
    source.get("Pod", "bench", name)?.metadata.annotations["ambient.istio.io/redirection"] === "enabled";
  await eventually(() => Object.values(POD_OF_SIDE).every(isEnrolled), { timeoutMs: START_TIMEOUT_MS });
  stop.abort();
}
