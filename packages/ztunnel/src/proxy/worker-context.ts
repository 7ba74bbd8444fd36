// What every part of a worker works with.
import type { MeshState } from "@ambit/discovery";
import type { Engine } from "@ambit/engine";
import type { ToMain, WorkerData } from "../worker-messages.ts";
import type { Admission } from "./admission.ts";
import type { ConnectionRecords } from "./connection-record.ts";
import type { CredentialStore } from "./credential-store.ts";
import type { OpenConnections } from "./open-connections.ts";

export interface WorkerContext {
  readonly engine: Engine;
  readonly data: WorkerData;
  readonly view: MeshState;
  readonly credentials: CredentialStore;
  readonly admission: Admission;
  readonly records: ConnectionRecords;
  readonly connections: OpenConnections;
  readonly random: () => number;
  readonly post: (message: ToMain) => void;
}
