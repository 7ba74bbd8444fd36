// How verbs reach a mesh, whatever it runs on.

export interface NodeInfo {
  readonly name: string;
  readonly address: string;
  readonly components: readonly ComponentInfo[];
}

export interface ComponentInfo {
  /** `ztunnel`, `agent`, `istiod-lite`. */
  readonly component: string;
  readonly pod: string;
  readonly running: boolean;
  readonly restarts: number;
}

export interface PodInfo {
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
  /** What the node agent has written: `enabled`, `pending`, or nothing. */
  readonly redirection: string | undefined;
}

export interface MeshAccess {
  nodes(): Promise<readonly NodeInfo[]>;
  pods(): Promise<readonly PodInfo[]>;
  /** A page of a node proxy's admin port, for instance `/config_dump`. */
  ztunnel(node: string, path: string): Promise<string>;
  ztunnelMetrics(node: string): Promise<string>;
  /** A page of the control plane, for instance `/debug/syncz`. */
  controlPlane(path: string): Promise<string>;
  close(): Promise<void>;
}

/** The control plane's version; its page tells more. */
export async function controlPlaneVersion(access: Pick<MeshAccess, "controlPlane">): Promise<string> {
  return (JSON.parse(await access.controlPlane("/version")) as { readonly version: string }).version;
}
