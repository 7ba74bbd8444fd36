// What the kubelet tells of a pod, written only when it changed.
import { isDeepStrictEqual } from "node:util";
import type { ObjectRef, ObjectWriter } from "@ambit/kube";
import { patchIfThere } from "../controllers/write.ts";

export interface ContainerState {
  readonly name: string;
  readonly ready: boolean;
  readonly restartCount: number;
  /** Why it is not running; undefined when it is. */
  readonly waiting?: { readonly reason: string; readonly message: string } | undefined;
}

export interface PodState {
  readonly phase: "Pending" | "Running";
  readonly ips: readonly string[];
  readonly hostIp: string;
  readonly containers: readonly ContainerState[];
  /** Why the pod has no network yet. */
  readonly problem?: string | undefined;
}

export class PodStatusWriter {
  readonly #writer: ObjectWriter;
  readonly #ref: ObjectRef;
  readonly #startTime = new Date().toISOString();
  #wanted: Record<string, unknown> | undefined;
  #written: Record<string, unknown> | undefined;
  #isWriting = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(writer: ObjectWriter, namespace: string, name: string) {
    this.#writer = writer;
    this.#ref = { kind: "Pod", namespace, name };
  }

  /** Resolves when this state, or a newer one, is written. */
  async set(state: PodState): Promise<void> {
    this.#wanted = statusOf(state, this.#startTime);
    if (!this.#isWriting) this.#writing = this.#write();
    await this.#writing;
  }

  /** No await stands between finding everything written and saying that nobody writes any more. */
  async #write(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#wanted !== undefined && !isDeepStrictEqual(this.#wanted, this.#written)) {
        const status = this.#wanted;
        await patchIfThere(this.#writer, this.#ref, { status });
        this.#written = status;
      }
    } finally {
      this.#isWriting = false;
    }
  }
}

function statusOf({ phase, ips, hostIp, containers, problem }: PodState, startTime: string): Record<string, unknown> {
  const ready = phase === "Running" && containers.every((container) => container.ready);
  const condition = (type: string, holds: boolean) => ({ type, status: holds ? "True" : "False" });
  return {
    phase,
    hostIP: hostIp,
    ...(ips[0] === undefined ? {} : { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }),
    startTime,
    // A merge patch removes what is null.
    reason: problem === undefined ? null : "FailedCreatePodSandBox",
    message: problem ?? null,
    conditions: [
      condition("PodScheduled", true),
      condition("PodReadyToStartContainers", ips.length > 0),
      condition("ContainersReady", ready),
      condition("Ready", ready),
    ],
    containerStatuses: containers.map(({ name, ready: isReady, restartCount, waiting }) => ({
      name,
      ready: isReady,
      restartCount,
      state: waiting === undefined ? { running: {} } : { waiting },
    })),
  };
}
