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

export interface ProveRequest {
  readonly namespace: string;
  /** A pod's name, or `deploy/NAME`: who makes the request. */
  readonly pod: string;
  /** `http://HOST[:PORT]/PATH` or `tcp://HOST:PORT`, as the pod would write it. */
  readonly url: string;
}

/** What the captured bytes of one request show. */
export interface ProveReport {
  readonly url: string;
  /** What was looked for. */
  readonly marker: string;
  readonly isAnswered: boolean;
  readonly answer: string;
  /** `cable`: no connection of the path crosses the wire between the nodes; the asking pod's own cable was looked at. */
  readonly capturedOn: "wire" | "cable";
  /** Answered, encrypted with identities proved by both ends, and the marker is nowhere to be read. */
  readonly isProven: boolean;
  readonly isEncrypted: boolean;
  /** False also when something was lost that might have held it. */
  readonly isMarkerAbsent: boolean;
  readonly isMarkerReadable: boolean;
  readonly clientIdentity: string | null;
  readonly serverIdentity: string | null;
  readonly connections: readonly ProvenConnection[];
  readonly notes: readonly string[];
}

export interface ProvenConnection {
  readonly source: { readonly ip: string; readonly port: number };
  readonly destination: { readonly ip: string; readonly port: number };
  readonly kind: "tls13" | "tls-other" | "plaintext" | "unknown";
  readonly cipherSuite: string | null;
  readonly serverName: string | null;
  readonly alpn: string | null;
  readonly clientIdentity: string | null;
  readonly serverIdentity: string | null;
  readonly containsMarker: boolean;
  readonly isWhole: boolean;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly notes: readonly string[];
}

export interface ComponentRequest {
  readonly component: string;
  readonly node: string;
}

export interface KillRequest extends ComponentRequest {
  readonly signal: NodeJS.Signals;
}

/** On a node's device, `eth0` leads to the other machines, or on a pod's. */
export interface CaptureRequest {
  readonly node?: string | undefined;
  readonly pod?: { readonly namespace: string; readonly name: string } | undefined;
  /** `eth0` when absent. */
  readonly device?: string | undefined;
  readonly seconds?: number | undefined;
  readonly maxBytes?: number | undefined;
}

export interface CaptureResult {
  /** Each from its Ethernet header on. */
  readonly frames: readonly { readonly atMs: number; readonly base64: string }[];
  /** Frames that passed and were lost or cut. */
  readonly dropped: number;
}

/** The body of every answer that is not a success. */
export interface ApiProblem {
  readonly code: string;
  readonly message: string;
}
