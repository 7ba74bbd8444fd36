// One pod's share of a worker: its namespace, its sessions, and what its handlers need.
import type { MeshError } from "@ambit/core";
import type { HbonePool, HboneServerSession } from "@ambit/hbone";
import type { Netns } from "@ambit/linux";
import type { LocalPod } from "../worker-messages.ts";
import type { WorkerContext } from "./worker-context.ts";

export interface PodContext {
  readonly worker: WorkerContext;
  readonly pod: LocalPod;
  readonly netns: Netns;
  readonly pool: HbonePool;
  /** HBONE connections that peers have made to this pod. */
  readonly sessions: Set<HboneServerSession>;
  /** Listeners are closed; what was accepted before goes on. */
  readonly isDraining: () => boolean;
  /** Why nothing goes on any more. */
  readonly closedBy: () => MeshError | undefined;
}

/** @source ztunnel src/proxy/mod.rs CONNECTION_TIMEOUT */
export const CONNECT_TIMEOUT_MS = 10_000;
/** @source ztunnel src/tls/mod.rs: the server's handshake */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
