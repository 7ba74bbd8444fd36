// One connection on its way: decided, dialled, joined, ended. Whatever happens, it is ended once and reported once.
//
// States: dialing → joined → ended, or dialing → ended.
import type { MeshError, PodUid, ResponseFlag } from "@ambit/core";
import { type ByteStream, type Relay, type RelayEnd, relay } from "@ambit/engine";
import type { ConnectionRecord } from "./connection-record.ts";
import { describeRelayEnd, flagOf } from "./end-reasons.ts";
import type { OpenConnection, OpenConnections } from "./open-connections.ts";

export interface FlowOptions {
  readonly pod: PodUid;
  readonly socket: OpenConnection["socket"];
  readonly authorization: OpenConnection["authorization"];
  readonly record: ConnectionRecord;
  readonly connections: OpenConnections;
  /** Tells the caller, who waits for an answer, that there is none; `status` is the tunnel's. */
  readonly turnAway: (status: number) => void;
}

export class Flow implements OpenConnection {
  readonly pod: PodUid;
  readonly socket: OpenConnection["socket"];
  readonly authorization: OpenConnection["authorization"];
  readonly #options: FlowOptions;
  #dialing: { cancel(): void } | undefined;
  #relay: Relay | undefined;
  #ended = false;

  constructor(options: FlowOptions) {
    this.pod = options.pod;
    this.socket = options.socket;
    this.authorization = options.authorization;
    this.#options = options;
    options.connections.add(this);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** What `abort` has to give up while nothing is joined. */
  dialing(attempt: { cancel(): void }): void {
    this.#dialing = attempt;
  }

  join(downstream: ByteStream, upstream: ByteStream): void {
    this.#dialing = undefined;
    this.#relay = relay(downstream, upstream, (end) => this.#onRelayEnd(end));
  }

  /** Before anything was joined. */
  fail(status: number, flag: ResponseFlag, error: string): void {
    if (this.#ended) return;
    this.#options.turnAway(status);
    this.#end(flag, error);
  }

  abort(error: MeshError): void {
    if (this.#ended) return;
    if (this.#relay !== undefined) {
      this.#relay.abort(error);
      return;
    }
    this.#dialing?.cancel();
    const flag = flagOf(error);
    this.fail(flag === "DENY" ? 401 : 503, flag, error.message);
  }

  #onRelayEnd(end: RelayEnd): void {
    const { flag, error } = describeRelayEnd(end);
    this.#end(flag, error);
  }

  #end(flag: ResponseFlag, error: string | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.connections.delete(this);
    this.#options.record.close({
      flag,
      error,
      receivedBytes: this.#relay?.bytesToUpstream ?? 0,
      sentBytes: this.#relay?.bytesToDownstream ?? 0,
    });
  }
}
