// For tests: a lab of its own directory, and a small application in it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@ambit/testkit";
import type { ExecResult, LabClient } from "./api/client.ts";
import type { PodSummary } from "./api/contract.ts";
import { Lab, type LabOptions } from "./host/lab.ts";

export async function startTestLab(options: LabOptions): Promise<{ readonly lab: Lab; stop(): Promise<void> }> {
  const parent = mkdtempSync(join(tmpdir(), "lab-"));
  try {
    const lab = await Lab.start({ directory: join(parent, "lab"), ...options });
    return {
      lab,
      async stop() {
        await lab.stop();
        rmSync(parent, { recursive: true });
      },
    };
  } catch (error) {
    rmSync(parent, { recursive: true });
    throw error;
  }
}

/** Answers with its pod's name and the caller's address; `/crash` ends it, `/environment` shows its environment. */
const SERVER = `
const { createServer } = require("node:http");
createServer((request, response) => {
  if (request.url === "/crash") process.exit(3);
  if (request.url === "/environment") return response.end(JSON.stringify(process.env));
  response.end(JSON.stringify({ pod: process.env.HOSTNAME, caller: request.socket.remoteAddress.replace("::ffff:", "") }));
}).listen(8080);
process.on("SIGTERM", () => process.exit(0));
`;
const IDLE = `process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 1000);`;

/** Deployment and Services `web`, a headless one, one that selects nobody, and the pod `client`. */
export const application = (replicas = 3, version = "1"): string => `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
        - name: web
          image: ambit/machine
          command: [node, -e, ${JSON.stringify(SERVER)}]
          env:
            - {name: VERSION, value: "${version}"}
            - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
          ports: [{name: http, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-pods, namespace: shop}
spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: shop}
spec: {selector: {app: nobody}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client}}
spec:
  nodeSelector: {kubernetes.io/hostname: node-b}
  serviceAccountName: client
  containers: [{name: client, image: ambit/machine, command: [node, -e, ${JSON.stringify(IDLE)}]}]
`;

export async function webPods(client: LabClient): Promise<readonly PodSummary[]> {
  return (await client.state()).pods.filter(({ labels }) => labels["app"] === "web");
}

/** Waits until so many web pods, and only these, are there and ready, and the client is. */
export async function untilReady(client: LabClient, webCount: number): Promise<readonly PodSummary[]> {
  return eventually(
    async () => {
      const { pods } = await client.state();
      const own = pods.filter(({ namespace }) => namespace === "shop");
      return own.length === webCount + 1 && own.every(({ ready }) => ready) ? webPods(client) : false;
    },
    { timeoutMs: 30_000, intervalMs: 50 },
  );
}

/** Runs JavaScript in the pod `client`. */
export function inClient(client: LabClient, script: string): Promise<ExecResult> {
  return client.exec({ namespace: "shop", pod: "client", command: ["node", "-e", script] });
}

/** Names of the pods that answered, one for each call; every call is a connection of its own. */
export const callsTo = (url: string, count: number): string => `
const { get } = require("node:http");
const call = () => new Promise((resolve, reject) =>
  get("${url}", { agent: false }, (response) => {
    let body = "";
    response.on("data", (data) => (body += data));
    response.on("end", () => resolve(JSON.parse(body).pod));
  }).on("error", reject));
(async () => {
  const pods = [];
  for (let i = 0; i < ${count}; i++) pods.push(await call());
  console.log(JSON.stringify(pods));
})().catch((error) => { console.error(error.code); process.exit(1); });
`;
