// One node proxy on the agent's socket: hello, snapshot, then one request at a time, each acknowledged.
import type { ZdsRequest } from "@ambit/api";
import { decodeZdsAck, decodeZdsHello, encodeZdsRequest } from "@ambit/api";
import { asMeshError, type Clock, type ClockTimer, type Logger, type PodUid } from "@ambit/core";
import type { FdChannel } from "@ambit/linux";
import type { LocatedPod } from "./pod-snapshot.ts";

/** How a request ended. `gone`: the connection closed first, or the request became pointless. */
export type Outcome =
  | { readonly kind: "acked" }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "gone"; readonly reason: string };

export type Order =
  | { readonly kind: "add"; readonly pod: LocatedPod }
  | { readonly kind: "keep" | "del"; readonly uid: PodUid }
  | { readonly kind: "snapshotSent" };

export interface ZdsConnectionDeps {
  readonly channel: FdChannel;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onEstablished: () => void;
  /** Called once, whoever closed. */
  readonly onClosed: () => void;
}

interface Pending {
  readonly order: Order;
  readonly settle: (outcome: Outcome) => void;
}

/** For hello and for every acknowledgement. @source istio cni/pkg/nodeagent/ztunnelserver.go readWriteDeadline */
const ANSWER_TIMEOUT_MS = 5000;
/**
 * States: greeting → (idle ↔ awaiting an acknowledgement) → closed.
 * Acknowledgements carry no number, so a connection is closed as soon as they could be matched to the wrong request:
 * on a timeout, and on any packet that nobody waits for.
 */
export class ZdsConnection {
  readonly #deps: ZdsConnectionDeps;
  #state: "greeting" | "idle" | "awaiting" | "closed" = "greeting";
  #queue: Pending[] = [];
  #awaiting: Pending | undefined;
  #timer: ClockTimer;

  constructor(deps: ZdsConnectionDeps) {
    this.#deps = deps;
    this.#timer = this.#expect("hello");
    void this.#read();
  }

  /** Past its hello and still open. */
  get established(): boolean {
    return this.#state === "idle" || this.#state === "awaiting";
  }

  request(order: Order): Promise<Outcome> {
    return new Promise((settle) => {
      if (this.#state === "closed") settle({ kind: "gone", reason: "the connection is closed" });
      else {
        this.#queue.push({ order, settle });
        this.#pump();
      }
    });
  }

  /** Requests about this pod that were not sent yet are not sent any more. */
  cancel(uid: PodUid): void {
    const concerns = ({ order }: Pending) =>
      order.kind === "add" ? order.pod.uid === uid : order.kind === "keep" && order.uid === uid;
    const cancelled = this.#queue.filter(concerns);
    this.#queue = this.#queue.filter((pending) => !concerns(pending));
    for (const { settle } of cancelled) settle({ kind: "gone", reason: "the pod left or changed meanwhile" });
  }

  close(reason: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#timer.cancel();
    this.#deps.channel.close();
    const waiting = [...(this.#awaiting === undefined ? [] : [this.#awaiting]), ...this.#queue];
    this.#awaiting = undefined;
    this.#queue = [];
    for (const { settle } of waiting) settle({ kind: "gone", reason });
    this.#deps.logger.info("Node proxy disconnected", { reason });
    this.#deps.onClosed();
  }

  /** Reads also while nothing is asked, so that a peer that goes away or talks out of turn is noticed at once. */
  async #read(): Promise<void> {
    try {
      while (this.#state !== "closed") {
        const packet = await this.#deps.channel.receive();
        if (packet === undefined) this.close("it closed the connection");
        else if (packet.netns !== undefined) {
          packet.netns.close();
          this.close("it sent a network namespace, which only the agent does");
        } else this.#handle(packet.data);
      }
    } catch (error) {
      this.close(asMeshError(error, "CNI_ZDS_PROTOCOL").message);
    }
  }

  #handle(packet: Uint8Array): void {
    switch (this.#state) {
      case "greeting":
        decodeZdsHello(packet);
        this.#establish();
        break;
      case "awaiting": {
        const error = decodeZdsAck(packet);
        this.#settle(error === "" ? { kind: "acked" } : { kind: "refused", reason: error });
        break;
      }
      case "idle":
        this.close("it sent a packet that nothing asked for");
        break;
      case "closed":
        break;
    }
  }

  #establish(): void {
    this.#timer.cancel();
    this.#state = "idle";
    this.#deps.logger.info("Node proxy connected");
    this.#deps.onEstablished();
    this.#pump();
  }

  #settle(outcome: Outcome): void {
    const pending = this.#awaiting;
    this.#timer.cancel();
    this.#awaiting = undefined;
    this.#state = "idle";
    pending?.settle(outcome);
    this.#pump();
  }

  #pump(): void {
    if (this.#state !== "idle") return;
    const next = this.#queue.shift();
    if (next === undefined) return;
    this.#awaiting = next;
    this.#state = "awaiting";
    this.#timer = this.#expect("acknowledgement");
    this.#send(next);
  }

  /** The channel takes the namespace's descriptor before this returns: only one packet is ever under way, so its queue has room. */
  #send(pending: Pending): void {
    const { order } = pending;
    const sent = this.#deps.channel.send(encodeZdsRequest(toRequest(order)), order.kind === "add" ? order.pod.netns : undefined);
    sent.catch((error: unknown) => {
      const failure = asMeshError(error, "CNI_ZDS_PROTOCOL");
      // Too long for the protocol, nothing has left: this one request fails and the others go on.
      if (failure.code === "LINUX_FRAME_INVALID" && this.#awaiting === pending)
        this.#settle({ kind: "refused", reason: failure.message });
      else this.close(failure.message);
    });
  }

  #expect(what: string): ClockTimer {
    return this.#deps.clock.after(ANSWER_TIMEOUT_MS, () => this.close(`no ${what} within ${ANSWER_TIMEOUT_MS} ms`));
  }
}

function toRequest(order: Order): ZdsRequest {
  switch (order.kind) {
    case "add": {
      const { uid, name, namespace, serviceAccount } = order.pod;
      return { kind: "add", uid, info: { name, namespace, serviceAccount } };
    }
    case "keep":
    case "del":
      return { kind: order.kind, uid: order.uid };
    case "snapshotSent":
      return { kind: "snapshotSent" };
  }
}
