// Listens to the node agent: which pods there are, with their network namespaces. @source ztunnel src/inpod/protocol.rs
import { decodeZdsRequest, encodeZdsAck, encodeZdsHello, type ZdsRequest } from "@ambit/api";
import { asMeshError, Backoff, type Clock, hasCode, type Logger, MeshError, pause } from "@ambit/core";
import { connectSeqpacket, type FdChannel, type Packet } from "@ambit/linux";
import type { WorkloadManager } from "./workload-manager.ts";

export interface ZdsClientDeps {
  readonly path: string;
  readonly manager: WorkloadManager;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The snapshot is complete, or the connection is gone. */
  readonly onReady: (isReady: boolean) => void;
}

const BACKOFF = { initialMs: 20, maxMs: 15_000, jitter: 0 } as const;

/**
 * Runs until `signal` aborts. Pods go on while there is no connection.
 * @throws ZTUNNEL_ZDS_PROTOCOL when the agent breaks the order of the protocol: nobody can say then which pods there are
 */
export async function runZdsClient(deps: ZdsClientDeps, signal: AbortSignal): Promise<void> {
  const { clock, logger, onReady } = deps;
  const backoff = new Backoff(BACKOFF);
  while (!signal.aborted) {
    try {
      const channel = await connectSeqpacket(deps.path);
      const close = () => channel.close();
      signal.addEventListener("abort", close, { once: true });
      try {
        backoff.reset();
        logger.info("connected to the node agent", { path: deps.path });
        await serve(deps, channel);
        logger.warn("the node agent closed the connection, pods go on");
      } finally {
        signal.removeEventListener("abort", close);
        channel.close();
      }
    } catch (error) {
      if (signal.aborted) return;
      if (hasCode(error, "ZTUNNEL_ZDS_PROTOCOL")) throw error;
      logger.warn("no connection to the node agent, pods go on", {
        path: deps.path,
        error: asMeshError(error, "ZTUNNEL_ZDS_PACKET"),
      });
    }
    onReady(false);
    await pause(clock, backoff.next(), signal);
  }
}

async function serve({ manager, onReady }: ZdsClientDeps, channel: FdChannel): Promise<void> {
  manager.connected();
  await channel.send(encodeZdsHello());
  for (;;) {
    let packet: Packet | undefined;
    try {
      packet = await channel.receive();
    } catch (cause) {
      if (hasCode(cause, "LINUX_FRAME_INVALID")) await channel.send(encodeZdsAck("failure to read message"));
      throw cause;
    }
    if (packet === undefined) return;
    const error = await handle(manager, packet, onReady);
    await channel.send(encodeZdsAck(error?.message ?? ""));
    if (error !== undefined && error.code !== "ZTUNNEL_POD_LISTEN_FAILED" && error.code !== "ZTUNNEL_POD_REMOVED") throw error;
  }
}

/** One request; the error to acknowledge with. */
async function handle(
  manager: WorkloadManager,
  packet: Packet,
  onReady: (isReady: boolean) => void,
): Promise<MeshError | undefined> {
  try {
    const request = decodeRequest(packet);
    if (request.kind === "add") {
      if (packet.netns === undefined) throw new MeshError("ZTUNNEL_ZDS_PACKET", "Add came without a network namespace");
      if (request.info === undefined) {
        packet.netns.close();
        throw new MeshError("ZTUNNEL_ZDS_PROTOCOL", `Add of pod ${request.uid} does not say which pod it is`);
      }
      await manager.add(request.uid, request.info, packet.netns);
      return undefined;
    }
    if (packet.netns !== undefined) {
      packet.netns.close();
      throw new MeshError("ZTUNNEL_ZDS_PACKET", `A network namespace came with ${request.kind}`);
    }
    switch (request.kind) {
      case "keep":
        manager.keep(request.uid);
        return undefined;
      case "del":
        manager.delete(request.uid);
        return undefined;
      case "snapshotSent":
        manager.snapshotSent();
        onReady(true);
        return undefined;
    }
  } catch (error) {
    return asMeshError(error, "ZTUNNEL_ZDS_PACKET");
  }
}

function decodeRequest(packet: Packet): ZdsRequest {
  try {
    return decodeZdsRequest(packet.data);
  } catch (error) {
    packet.netns?.close();
    throw error;
  }
}
