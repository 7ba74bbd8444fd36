// What a node proxy says of itself in /config_dump, as far as the verbs read it.
import type { MeshAccess } from "./mesh-access.ts";

export interface CertificateDump {
  readonly identity: string;
  readonly state: string;
  readonly certChain: readonly {
    readonly serialNumber: string;
    readonly validFrom: string;
    readonly expirationTime: string;
    readonly pem: string;
  }[];
  readonly rootCerts: readonly { readonly serialNumber: string; readonly validFrom: string; readonly expirationTime: string }[];
}

export interface ConnectionDump {
  readonly src: string;
  readonly originalDst?: string;
  readonly actualDst: string;
  readonly protocol?: string;
}

export interface NodeDump {
  readonly workloads: readonly unknown[];
  readonly services: readonly unknown[];
  readonly policies: readonly unknown[];
  readonly certificates: readonly CertificateDump[];
  readonly workloadState?: Readonly<
    Record<
      string,
      {
        readonly state: string;
        readonly connections?: { readonly inbound: readonly ConnectionDump[]; readonly outbound: readonly ConnectionDump[] };
        readonly info: { readonly name: string; readonly namespace: string; readonly serviceAccount: string };
      }
    >
  >;
}

export async function nodeDump(access: MeshAccess, node: string): Promise<NodeDump> {
  return JSON.parse(await access.ztunnel(node, "/config_dump")) as NodeDump;
}
