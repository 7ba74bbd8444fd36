// labd's API on its Unix socket, which crosses the namespaces.
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { constants } from "node:os";
import { listKind } from "@ambit/kube";
import { httpServer } from "@ambit/runtime";
import { z } from "zod";
import type { Cluster } from "../cluster.ts";
import type { Component } from "../components/component.ts";
import { COMPONENTS, PORTS } from "../components/mesh.ts";
import { ownerOf } from "../controllers/deployments.ts";
import { labError, messageOf } from "../errors.ts";
import { proveInCluster } from "../evidence/prove-in-cluster.ts";
import { type HttpAnswer, httpIn } from "../network/http-in.ts";
import { CONTROL_PLANE, type Machine } from "../network/plan.ts";
import { Captures } from "./captures.ts";
import { execStream } from "./exec.ts";
import { Manifests } from "./objects.ts";
import { labState } from "./state.ts";
import { serveTunnel } from "./tunnel.ts";

type Server = ReturnType<typeof httpServer>;

const objectName = z.object({ kind: z.string(), namespace: z.string(), name: z.string() });
const bodies = {
  apply: z.object({ yaml: z.string(), file: z.string().default("manifest"), namespace: z.string().optional() }),
  patch: objectName.extend({ patch: z.record(z.string(), z.unknown()) }),
  exec: z.object({ namespace: z.string(), pod: z.string(), command: z.array(z.string()).min(1) }),
  prove: z.object({ namespace: z.string(), pod: z.string(), url: z.string() }),
  capture: z.object({
    node: z.string().optional(),
    pod: z.object({ namespace: z.string(), name: z.string() }).optional(),
    device: z.string().default("eth0"),
    seconds: z.number().positive().max(3600).default(60),
    maxBytes: z
      .int()
      .positive()
      .max(64 << 20)
      .default(16 << 20),
  }),
  component: z.object({ component: z.string(), node: z.string() }),
  kill: z.object({
    component: z.string(),
    node: z.string(),
    signal: z.string().refine((name): name is NodeJS.Signals => Object.hasOwn(constants.signals, name), "is no signal"),
  }),
};

const PROXY_TIMEOUT_MS = 10_000;
const BODY_LIMIT = 16 << 20;
const STATUS: Readonly<Record<string, number>> = {
  LAB_NOT_FOUND: 404,
  KUBE_NOT_FOUND: 404,
  LAB_REQUEST_INVALID: 400,
  LAB_OBJECT_REFUSED: 422,
  KUBE_OBJECT_INVALID: 422,
};

/** @param shutDown called by whoever asks the lab to end; the answer goes out first */
export function createApiServer(cluster: Cluster, shutDown: () => void): Server {
  const manifests = new Manifests(cluster);
  const server = httpServer();
  server.addContentTypeParser("application/json", { parseAs: "string", bodyLimit: BODY_LIMIT }, (_request, body, done) => {
    try {
      done(null, JSON.parse(String(body)));
    } catch (error) {
      done(labError("LAB_REQUEST_INVALID", `The request is no JSON: ${messageOf(error)}`));
    }
  });
  server.setErrorHandler((error, _request, reply) => {
    const { code = "LAB_REQUEST_FAILED" } = error as { code?: string };
    return reply.code(STATUS[code] ?? 500).send({ code, message: messageOf(error) });
  });
  server.get("/state", async () => labState(cluster));
  server.post("/apply", async ({ body }) => manifests.apply(parse(bodies.apply, body)));
  server.post("/patch", async ({ body }, reply) => {
    const { patch, ...ref } = parse(bodies.patch, body);
    await cluster.writer.patch(ref, patch);
    return reply.code(204).send();
  });
  server.post("/delete", async ({ body }, reply) => {
    await manifests.delete(parse(objectName, body));
    return reply.code(204).send();
  });
  server.post("/exec", async ({ body }, reply) => {
    const { namespace, pod, command } = parse(bodies.exec, body);
    const spec = cluster.kubelet.worker(namespace, podName(cluster, namespace, pod)).execSpec(command);
    if (spec === undefined) throw labError("LAB_NOT_FOUND", `Pod ${pod} has no container yet`);
    return reply.type("application/x-ndjson").send(execStream(spec));
  });
  server.post("/prove", async ({ body }) => {
    const { namespace, pod, url } = parse(bodies.prove, body);
    return proveInCluster(cluster, { namespace, pod: podName(cluster, namespace, pod), url });
  });
  server.post("/shutdown", async (_request, reply) => {
    reply.raw.on("finish", shutDown);
    return reply.code(202).send();
  });
  addCaptureRoutes(server, cluster);
  addComponentRoutes(server, cluster);
  addLogRoutes(server, cluster);
  server.server.on("upgrade", (request, socket, head) => void serveTunnel(cluster, request, socket, head));
  return server;
}

function addCaptureRoutes(server: Server, cluster: Cluster): void {
  const captures = new Captures();
  server.post("/capture", async ({ body }) => {
    const { node, pod, ...limits } = parse(bodies.capture, body);
    const netns =
      pod === undefined ? machineNamed(cluster, node ?? "").name : cluster.kubelet.worker(pod.namespace, pod.name).sandbox?.netns;
    if (netns === undefined) throw labError("LAB_NOT_FOUND", "The pod has no network yet");
    return { id: captures.start({ netns, ...limits }) };
  });
  server.post("/capture/:id/finish", async ({ params }) => captures.finish((params as { id: string }).id));
  server.addHook("onClose", async () => captures.closeAll());
}

/** A node or the control plane. @throws LAB_NOT_FOUND */
function machineNamed(cluster: Cluster, name: string): Machine {
  const machines = [CONTROL_PLANE, ...cluster.nodes];
  const machine = machines.find((candidate) => candidate.name === name);
  if (machine !== undefined) return machine;
  throw labError("LAB_NOT_FOUND", `There is no node ${name}; there are ${machines.map((known) => known.name).join(", ")}`);
}

function addComponentRoutes(server: Server, cluster: Cluster): void {
  server.post("/restart", async ({ body }, reply) => {
    findComponent(cluster, parse(bodies.component, body)).restart();
    return reply.code(204).send();
  });
  server.post("/kill", async ({ body }, reply) => {
    const { signal, ...which } = parse(bodies.kill, body);
    const killed = findComponent(cluster, which).signal(signal);
    if (!killed) throw labError("LAB_NOT_FOUND", `${which.component} on ${which.node} is not running`);
    return reply.code(204).send();
  });
  server.route<{ Params: { node: string } }>({
    method: ["GET", "POST"],
    url: "/ztunnel/:node/*",
    handler: async ({ params: { node }, url, method }, reply) => {
      const target = { netns: machineNamed(cluster, node).name, ip: "127.0.0.1", port: PORTS.ztunnelAdmin };
      return send(reply, await page(COMPONENTS.ztunnel, target, url.slice(`/ztunnel/${node}`.length), method));
    },
  });
  server.get<{ Params: { node: string } }>("/ztunnel-metrics/:node", async ({ params: { node } }, reply) => {
    const { name: netns, ips } = machineNamed(cluster, node);
    return send(reply, await page(COMPONENTS.ztunnel, { netns, ip: ips[4], port: PORTS.ztunnelMetrics }, "/metrics", "GET"));
  });
  server.get("/control-plane/*", async ({ url }, reply) => {
    const target = { netns: CONTROL_PLANE.name, ip: CONTROL_PLANE.ips[4], port: PORTS.controlPlaneHttp };
    return send(reply, await page(COMPONENTS.controlPlane, target, url.slice("/control-plane".length), "GET"));
  });
}

function addLogRoutes(server: Server, cluster: Cluster): void {
  server.get("/logs", async () => (await readdir(cluster.paths.logs)).map((file) => file.replace(/\.log$/, "")).sort());
  server.get("/logs/:name", async ({ params }, reply) => {
    const { name } = params as { name: string };
    const known = (await readdir(cluster.paths.logs)).map((file) => file.replace(/\.log$/, ""));
    if (!known.includes(name)) throw labError("LAB_NOT_FOUND", `There is no log ${name}; there are ${known.sort().join(", ")}`);
    return reply.type("text/plain; charset=utf-8").send(createReadStream(cluster.paths.log(name)));
  });
}

function findComponent(cluster: Cluster, { component, node }: { readonly component: string; readonly node: string }): Component {
  const found = cluster.components.find(({ spec }) => spec.component === component && spec.machine.name === node);
  if (found !== undefined) return found;
  const known = cluster.components.map(({ spec }) => `${spec.component} on ${spec.machine.name}`).join(", ") || "none";
  throw labError("LAB_NOT_FOUND", `There is no ${component} on ${node}; there are: ${known}`);
}

/** `deploy/NAME` is its first running pod. @throws LAB_NOT_FOUND */
function podName(cluster: Cluster, namespace: string, name: string): string {
  const [type, deployment] = name.split("/");
  if (deployment === undefined) return name;
  if (type === "pod") return deployment;
  if (type !== "deploy") throw labError("LAB_REQUEST_INVALID", `${name} is not a pod's name, pod/NAME or deploy/NAME`);
  const pod = listKind(cluster.source, "Pod").find(
    (candidate) =>
      candidate.metadata.namespace === namespace && ownerOf(candidate) === deployment && candidate.status?.phase === "Running",
  );
  if (pod === undefined) throw labError("LAB_NOT_FOUND", `Deployment ${deployment} in namespace ${namespace} has no running pod`);
  return pod.metadata.name;
}

async function page(what: string, target: Parameters<typeof httpIn>[0], path: string, method: string): Promise<HttpAnswer> {
  try {
    return await httpIn(target, path, { timeoutMs: PROXY_TIMEOUT_MS, userAgent: "ambit-lab", method });
  } catch (error) {
    throw labError("LAB_TIMED_OUT", `${what} on ${target.netns} does not answer: ${messageOf(error)}`, error);
  }
}

function send(
  reply: { code(status: number): { type(type: string): { send(body: string): unknown } } },
  { status, contentType, body }: HttpAnswer,
) {
  return reply.code(status).type(contentType).send(body);
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join(".") || "body"}: ${message}`);
  throw labError("LAB_REQUEST_INVALID", problems.join("; "));
}
