// Asks the node agent over its Unix socket.
import { join } from "node:path";
import { asMeshError } from "@ambit/core";
import { pluginError } from "./errors.ts";
import type { PodAddress } from "./invocation.ts";

export interface PodAttachment {
  readonly containerId: string;
  readonly netns: string;
  readonly pod: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly addresses: readonly PodAddress[];
}

/** What the agent answered to a request that it could serve. */
export interface AgentAnswer {
  readonly status: number;
  readonly body: string;
}

export interface AgentClient {
  /** @throws CNI_PLUGIN_AGENT_UNAVAILABLE when nobody answers in time */
  post(path: "/cmdadd" | "/cmddel" | "/cmdcheck" | "/cmdgc" | "/cmdstatus", body: unknown): Promise<AgentAnswer>;
}

const AGENT_TIMEOUT_MS = 5000;
const SOCKET_NAME = "pluginevent.sock";

/** One request per client: a plugin process makes one and ends. */
export function createAgentClient(runDirectory: string, timeoutMs = AGENT_TIMEOUT_MS): AgentClient {
  const socketPath = join(runDirectory, SOCKET_NAME);
  return {
    async post(path, body) {
      // Loaded only by the commands that ask: VERSION and pods that are let through start twice as fast without it.
      const { Client } = await import("undici");
      const client = new Client("http://agent", { connect: { socketPath } });
      try {
        const response = await client.request({
          method: "POST",
          path,
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(timeoutMs),
        });
        return { status: response.statusCode, body: await response.body.text() };
      } catch (error) {
        const reason = asMeshError(error, "CNI_PLUGIN_UNEXPECTED").message;
        throw pluginError(
          "CNI_PLUGIN_AGENT_UNAVAILABLE",
          `The node agent did not answer at ${socketPath}: ${reason}. Is the ambit-cni pod running on this node?`,
          error,
        );
      } finally {
        await client.destroy();
      }
    },
  };
}

/**
 * The request body that the agent and Istio's agent understand; `PodUID` and `ContainerID` are additions of ours.
 * @source istio cni/pkg/plugin/plugin.go CNIPluginAddEvent; net.IPNet in Go's JSON encoding
 */
export function attachmentBody(attachment: PodAttachment): Record<string, unknown> {
  return {
    Netns: attachment.netns,
    PodName: attachment.pod.name,
    PodNamespace: attachment.pod.namespace,
    PodUID: attachment.pod.uid,
    ContainerID: attachment.containerId,
    IPs: attachment.addresses.map(({ interface: index, cidr, gateway }) => {
      const [ip = "", length = ""] = cidr.split("/");
      return {
        Interface: index ?? null,
        Address: { IP: ip, Mask: maskBytes(ip.includes(":") ? 16 : 4, Number(length)).toString("base64") },
        Gateway: gateway ?? "",
      };
    }),
  };
}

function maskBytes(size: number, length: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, i) => (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))) & 0xff));
}
