// What labd's API takes and gives, as both ends see it.
import type { ComponentState } from "../components/component.ts";

export type { ComponentState } from "../components/component.ts";

export interface NodeState {
  readonly name: string;
  readonly address: string;
  readonly components: readonly ComponentState[];
}

export interface PodSummary {
  readonly name: string;
  readonly namespace: string;
  readonly node: string;
  readonly ips: readonly string[];
  readonly serviceAccount: string;
  readonly phase: string;
  readonly ready: boolean;
  readonly restarts: number;
  /** The pod's or its namespace's label asks for the mesh. */
  readonly wantsMesh: boolean;
  /** `enabled`, `pending`; null when the node agent has written nothing. */
  readonly redirection: string | null;
  readonly labels: Readonly<Record<string, string>>;
}

export interface LabState {
  /** Everything that the lab itself runs has been ready once. */
  readonly ready: boolean;
  readonly mesh: boolean;
  readonly nodes: readonly NodeState[];
  readonly controlPlane: NodeState;
  readonly pods: readonly PodSummary[];
}

export interface ApplyRequest {
  readonly yaml: string;
  /** Named in refusals. */
  readonly file: string;
  /** For objects that name none. */
  readonly namespace?: string | undefined;
}

export interface AppliedObject {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** `ignored`: stored, but nothing in the lab reads this kind. */
  readonly result: "created" | "configured" | "ignored";
}

export interface ObjectName {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface PatchRequest extends ObjectName {
  /** JSON merge patch. */
  readonly patch: Readonly<Record<string, unknown>>;
}

export interface ExecRequest {
  readonly namespace: string;
  /** A pod's name, or `deploy/NAME` for the first running pod of a Deployment. */
  readonly pod: string;
  readonly command: readonly string[];
}

/** One line of the answer to an exec request each. */
export type ExecEvent =
  | { readonly stream: "stdout" | "stderr"; readonly base64: string }
  /** 128 plus the signal's number when one ended it, as shells count. */
  | { readonly exitCode: number };

export interface ComponentRequest {
  readonly component: string;
  readonly node: string;
}

export interface KillRequest extends ComponentRequest {
  readonly signal: NodeJS.Signals;
}

/** The body of every answer that is not a success. */
export interface ApiProblem {
  readonly code: string;
  readonly message: string;
}
