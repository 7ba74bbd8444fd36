// A lab with a whole mesh for one test file, and the few words that tests say to it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { Lab, type LabClient, type PodSummary } from "@ambit/lab";
import { eventually } from "@ambit/testkit";

export const NAMESPACE = "app";
export const NODES = ["node-a", "node-b"] as const;
export type Node = (typeof NODES)[number];

const ENROL = { "istio.io/dataplane-mode": "ambient" };
const HTTP_PORT = 9080;
const PATIENCE = { timeoutMs: 20_000, intervalMs: 50 } as const;

export interface PodShape {
  readonly name: string;
  readonly node: Node;
  readonly namespace?: string;
  readonly serviceAccount?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Role of the Bookinfo program with its arguments; by default a client that waits. */
  readonly command?: readonly string[];
}

export interface Answer {
  /** 0 without an answer. */
  readonly status: number;
  readonly text: string;
}

export interface Mesh {
  readonly client: LabClient;
  apply(...objects: readonly object[]): Promise<void>;
  /** Creates pods and waits until they are ready and, in a meshed namespace, enrolled. */
  pods(...shapes: readonly PodShape[]): Promise<readonly PodSummary[]>;
  pod(name: string, namespace?: string): Promise<PodSummary>;
  /** One HTTP request out of a pod. */
  fetch(from: string, url: string, namespace?: string): Promise<Answer>;
  /** Asks until the answer is as wanted. */
  eventuallyFetches(from: string, url: string, isAllowed: boolean, namespace?: string): Promise<Answer>;
  accessLines(node: Node): Promise<string[]>;
}

/**
 * Starts a lab before the file's tests and ends it after them.
 * @param setUp what all of them need
 */
export function meshForFile(setUp: (mesh: Mesh) => Promise<void>, componentEnv: Readonly<Record<string, string>> = {}): Mesh {
  let lab: Lab | undefined;
  const directory = mkdtempSync(join(tmpdir(), "e2e-"));
  before(async () => {
    lab = await Lab.start({ directory: join(directory, "lab"), componentEnv });
    await mesh.apply(
      { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE, labels: ENROL } },
      { apiVersion: "v1", kind: "Namespace", metadata: { name: "outside" } },
    );
    await setUp(mesh);
  });
  after(async () => {
    await lab?.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  const running = (): Lab => {
    if (lab === undefined) throw new Error("The lab is not running");
    return lab;
  };
  const mesh: Mesh = {
    get client() {
      return running().client;
    },
    async apply(...objects) {
      const yaml = objects.map((object) => JSON.stringify(object)).join("\n---\n");
      await running().client.apply({ yaml, file: "test", namespace: NAMESPACE });
    },
    async pods(...shapes) {
      await mesh.apply(...shapes.flatMap(podObjects));
      return Promise.all(
        shapes.map(({ name, namespace = NAMESPACE, labels = {} }) =>
          eventually(async () => {
            const pod = await mesh.pod(name, namespace);
            const isMeshed = namespace === NAMESPACE && labels["istio.io/dataplane-mode"] !== "none";
            return pod.ready && (!isMeshed || pod.redirection === "enabled") ? pod : false;
          }, PATIENCE),
        ),
      );
    },
    async pod(name, namespace = NAMESPACE) {
      const { pods } = await running().client.state();
      const found = pods.find((pod) => pod.name === name && pod.namespace === namespace);
      if (found === undefined) throw new Error(`There is no pod ${namespace}/${name}`);
      return found;
    },
    async fetch(from, url, namespace = NAMESPACE) {
      const command = ["node", "src/main.ts", "fetch", url];
      const { exitCode, stdout, stderr } = await running().client.exec({ namespace, pod: from, command });
      const [status = "", ...body] = stdout.split("\n");
      return exitCode === 0 ? { status: Number(status), text: body.join("\n") } : { status: 0, text: stderr.trim() };
    },
    eventuallyFetches: (from, url, isAllowed, namespace) =>
      eventually(async () => {
        const answer = await mesh.fetch(from, url, namespace);
        return (answer.status === 200) === isAllowed ? answer : false;
      }, PATIENCE),
    async accessLines(node) {
      const log = await running().client.logs(`ztunnel-${node}`);
      return log.split("\n").filter((line) => line.includes("\taccess\t"));
    },
  };
  return mesh;
}

function podObjects({ name, node, namespace = NAMESPACE, serviceAccount = name, labels = {}, command = ["client"] }: PodShape) {
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: serviceAccount, namespace } },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace, labels: { app: name, ...labels } },
      spec: {
        nodeName: node,
        serviceAccountName: serviceAccount,
        containers: [{ name: "main", image: "ambit/bookinfo:0.1.0", command: ["node", "src/main.ts", ...command] }],
      },
    },
  ];
}

/** A web server: answers `/details/0` and `/health` on port 9080. */
export function webServer(name: string, node: Node, rest: Partial<PodShape> = {}): PodShape {
  return { name, node, command: ["details", String(HTTP_PORT)], ...rest };
}

export function serviceFor(name: string, spec: Readonly<Record<string, unknown>> = {}): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: NAMESPACE },
    spec: { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: HTTP_PORT }], ...spec },
  };
}

export function policyFor(app: string, action: "ALLOW" | "DENY", ...rules: readonly object[]): object {
  return {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: `${app}-policy`, namespace: NAMESPACE },
    spec: { selector: { matchLabels: { app } }, action, rules },
  };
}

export const POLICY_OF = (app: string) => ({ kind: "AuthorizationPolicy", namespace: NAMESPACE, name: `${app}-policy` });

/** Requests one after the other out of a pod, each on a connection of its own, for so long. */
export async function loadFrom({ client }: Mesh, pod: string, url: string, durationMs: number) {
  const program = `let failed=0,calls=0;const end=Date.now()+${durationMs};const {request}=require("http");
const one=()=>new Promise(r=>{const q=request("${url}",{agent:false},s=>{s.resume();s.on("end",()=>r(s.statusCode===200))});q.on("error",()=>r(false));q.end()});
(async()=>{while(Date.now()<end){calls++;if(!await one())failed++}console.log(calls+" "+failed)})()`;
  const { stdout } = await client.exec({ namespace: NAMESPACE, pod, command: ["node", "-e", program] });
  const [calls = 0, failed = 0] = stdout.trim().split(" ").map(Number);
  return { calls, failed };
}
