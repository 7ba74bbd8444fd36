// What can be measured: a pair of proxies between client and server, or nothing between them.
import type { Rig } from "./rig.ts";

/** Where the load generator connects, and from which namespace. */
export interface Target {
  readonly clientNetns: string;
  readonly httpUrl: string;
  readonly bulk: { readonly host: string; readonly port: number };
}

export interface Running {
  readonly target: Target;
  /** Processes whose CPU time and memory count as the contender's. */
  pids(): readonly number[];
  stop(): Promise<void>;
}

export interface Contender {
  readonly name: string;
  start(rig: Rig): Promise<Running>;
}
