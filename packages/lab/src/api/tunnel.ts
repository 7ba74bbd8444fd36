// Connections from outside of the namespaces into pods: an HTTP upgrade, then bytes.
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { listKind, type Pod } from "@ambit/kube";
import type { Cluster } from "../cluster.ts";
import { isDeleted, isReady } from "../controllers/deployments.ts";
import { containerPort } from "../controllers/endpoint-slices.ts";
import { labError, messageOf } from "../errors.ts";
import { joinStreams } from "../join-streams.ts";
import { dial } from "../network/dial.ts";
import { TUNNEL_PROTOCOL } from "./tunnel-protocol.ts";

/** `GET /tunnel?namespace=N&target=svc/NAME|pod/NAME&port=P` with an upgrade: like a port-forward, it ends at the pod's own loopback. */
export async function serveTunnel(cluster: Cluster, request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
  client.on("error", () => client.destroy());
  try {
    const { searchParams } = new URL(request.url ?? "", "http://labd");
    const asked = (name: string) => searchParams.get(name) ?? "";
    const { pod, port } = targetOf(cluster, asked("namespace"), asked("target"), Number(asked("port")));
    const sandbox = cluster.kubelet.worker(pod.metadata.namespace, pod.metadata.name).sandbox;
    if (sandbox === undefined) throw labError("LAB_NOT_FOUND", `Pod ${pod.metadata.name} has no network yet`);
    const socket = await dial({ netns: sandbox.netns, ip: "127.0.0.1", port });
    client.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${TUNNEL_PROTOCOL}\r\n\r\n`);
    joinStreams(client, socket);
    socket.write(head);
  } catch (error) {
    const reason = `${messageOf(error)}\n`;
    client.end(`HTTP/1.1 502 Bad Gateway\r\nContent-Length: ${Buffer.byteLength(reason)}\r\nConnection: close\r\n\r\n${reason}`);
  }
}

function targetOf(
  cluster: Cluster,
  namespace: string,
  target: string,
  port: number,
): { readonly pod: Pod; readonly port: number } {
  const [type, name = ""] = target.split("/");
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw labError("LAB_REQUEST_INVALID", `${port} is not a port`);
  const pods = listKind(cluster.source, "Pod").filter((pod) => pod.metadata.namespace === namespace);
  if (type === "pod") {
    const pod = pods.find(({ metadata }) => metadata.name === name);
    if (pod === undefined) throw labError("LAB_NOT_FOUND", `There is no pod ${name} in namespace ${namespace}`);
    return { pod, port };
  }
  if (type !== "svc") throw labError("LAB_REQUEST_INVALID", `${target} is not pod/NAME or svc/NAME`);
  const service = listKind(cluster.source, "Service").find(
    ({ metadata }) => metadata.namespace === namespace && metadata.name === name,
  );
  if (service === undefined) throw labError("LAB_NOT_FOUND", `There is no service ${name} in namespace ${namespace}`);
  const servicePort = service.spec.ports.find((candidate) => candidate.port === port);
  if (servicePort === undefined) throw labError("LAB_NOT_FOUND", `Service ${name} has no port ${port}`);
  const selector = Object.entries(service.spec.selector ?? {});
  const ready = pods.filter(
    (pod) =>
      selector.length > 0 &&
      isReady(pod) &&
      !isDeleted(pod) &&
      selector.every(([label, value]) => pod.metadata.labels[label] === value),
  );
  const pod = ready[Math.floor(Math.random() * ready.length)];
  if (pod === undefined) throw labError("LAB_NOT_FOUND", `Service ${name} in namespace ${namespace} has no ready pod`);
  const wanted = servicePort.targetPort ?? port;
  return { pod, port: typeof wanted === "number" ? wanted : (containerPort(pod, wanted) ?? port) };
}
