// Every connection that this worker carries, so that a policy, a removed pod or the end of the process can close it.
import { MeshError, type PodUid, type WorkloadUid } from "@ambit/core";
import { authorize, type ConnectionFacts, policiesFor } from "@ambit/decide";
import type { MeshState } from "@ambit/discovery";
import type { Direction } from "../worker-messages.ts";

export interface OpenConnection {
  readonly pod: PodUid;
  /** Accepted socket that belongs to it alone; tunnels share one. */
  readonly socket: Direction | undefined;
  /** Present on inbound connections: what policies judged it by. */
  readonly authorization: { readonly workload: WorkloadUid; readonly facts: ConnectionFacts } | undefined;
  abort(error: MeshError): void;
}

export class OpenConnections {
  readonly #open = new Set<OpenConnection>();
  readonly #view: MeshState;
  readonly #onChange: () => void;

  /** @param onChange the number of open sockets may be another one now */
  constructor(view: MeshState, onChange: () => void) {
    this.#view = view;
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#open.size;
  }

  sockets(direction: Direction): number {
    let count = 0;
    for (const connection of this.#open) if (connection.socket === direction) count++;
    return count;
  }

  add(connection: OpenConnection): void {
    this.#open.add(connection);
    this.#onChange();
  }

  delete(connection: OpenConnection): void {
    this.#open.delete(connection);
    this.#onChange();
  }

  /** An HBONE session came or went. */
  changed(): void {
    this.#onChange();
  }

  /**
   * Closes what the present policies forbid. Unlike upstream the workload is looked up anew, so that a policy which is newly attached
   * by a label counts as well. @source ztunnel src/proxy/connection_manager.rs PolicyWatcher
   */
  recheck(): void {
    for (const connection of this.#open) {
      if (connection.authorization === undefined) continue;
      const { workload: uid, facts } = connection.authorization;
      const workload = this.#view.workloadByUid(uid);
      // A pod that is leaving; the node agent takes it away together with its connections.
      if (workload === undefined) continue;
      const verdict = authorize(policiesFor(this.#view, workload), facts);
      if (verdict.kind === "allow") continue;
      connection.abort(new MeshError("ZTUNNEL_POLICY_CHANGED", `connection closed due to policy change: ${verdict.reason}`));
    }
  }

  abortPod(pod: PodUid, error: MeshError): void {
    for (const connection of this.#open) if (connection.pod === pod) connection.abort(error);
  }

  abortAll(error: MeshError): void {
    for (const connection of this.#open) connection.abort(error);
  }
}
