// What the main thread and the data-plane workers tell each other. Structured-cloneable, and nothing else passes between them.
import type { IpAddress, PodUid, ResponseFlag, SpiffeId } from "@ambit/core";
import type { MeshUpdate } from "@ambit/discovery";
import type { NetnsToken } from "@ambit/linux";

/** Constant for the life of the process. */
export interface WorkerData {
  readonly network: string;
  readonly clusterId: string;
  readonly clusterDomain: string;
  readonly ipv6: boolean;
  /** SO_MARK of every socket in a pod. */
  readonly mark: number;
  /** Undefined: spoof the client's address towards the application where the kernel allows it. */
  readonly originalSource: boolean | undefined;
  readonly localhostAppTunnel: boolean;
  readonly dns: DnsWorkerData | undefined;
  readonly poolIdleMs: number;
  readonly poolMaxStreams: number;
  readonly responseBaggage: boolean;
}

export interface DnsWorkerData {
  readonly nameservers: readonly IpAddress[];
  /** Among services of one hostname in several namespaces, this one's is taken before any other. */
  readonly preferredNamespace: string | undefined;
}

/** A pod whose connections this node carries. */
export interface LocalPod {
  readonly uid: PodUid;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly netns: NetnsToken;
}

export interface WorkerSvid {
  readonly identity: SpiffeId;
  readonly certChain: string;
  readonly privateKey: string;
  readonly roots: string;
}

export type ToWorker =
  | { readonly kind: "mesh"; readonly update: MeshUpdate }
  /** The first complete state has been sent: connections may be decided. */
  | { readonly kind: "meshReady" }
  | { readonly kind: "addPod"; readonly pod: LocalPod }
  | { readonly kind: "removePod"; readonly uid: PodUid }
  | { readonly kind: "svid"; readonly svid: WorkerSvid }
  | { readonly kind: "svidLost"; readonly identity: SpiffeId; readonly reason: string }
  /** Handshake secrets are reported from now on and pooled sessions retired; without a number nothing is reported any more. */
  | { readonly kind: "handshakeSecrets"; readonly run: number | undefined }
  /** Listeners close, what is open may finish. */
  | { readonly kind: "drain" }
  /** What is still open ends now. */
  | { readonly kind: "abort" };

export type Direction = "inbound" | "outbound";

/** One side of a connection as metrics and access lines name it; absent facts are undefined. */
export interface Party {
  readonly workload?: string | undefined;
  /** The workload's controller, which metrics call the workload. */
  readonly workloadName?: string | undefined;
  readonly namespace?: string | undefined;
  readonly canonicalName?: string | undefined;
  readonly canonicalRevision?: string | undefined;
  readonly cluster?: string | undefined;
  readonly region?: string | undefined;
  readonly zone?: string | undefined;
  /** For metrics. */
  readonly principal?: string | undefined;
  /** For the access line: proven by mutual TLS on this connection. */
  readonly identity?: string | undefined;
}

export interface ServiceLabels {
  readonly hostname: string;
  readonly name: string;
  readonly namespace: string;
}

/** What many connections have in common; sent once and then named by its number. */
export interface ConnectionLabels {
  readonly direction: Direction;
  readonly source: Party;
  readonly destination: Party;
  readonly service: ServiceLabels | undefined;
  readonly isMutualTls: boolean;
}

export type DnsProtocol = "udp" | "tcp";

export type ToMain =
  /** `netns` tells which start of the pod it answers. */
  | { readonly kind: "podListening"; readonly uid: PodUid; readonly netns: NetnsToken["id"] }
  | { readonly kind: "podFailed"; readonly uid: PodUid; readonly netns: NetnsToken["id"]; readonly error: string }
  | { readonly kind: "needIdentity"; readonly identity: SpiffeId }
  | { readonly kind: "labels"; readonly number: number; readonly labels: ConnectionLabels }
  | {
      readonly kind: "opened";
      readonly id: number;
      /** Number of ConnectionLabels of this worker. */
      readonly labels: number;
      readonly pod: PodUid;
      readonly source: string;
      readonly destination: string;
      /** Where an outbound connection's application dialled. */
      readonly dialled: string | undefined;
      /** The CONNECT authority. */
      readonly hboneTarget: string | undefined;
      readonly traceId: string | undefined;
      readonly startedMs: number;
    }
  | {
      readonly kind: "closed";
      readonly id: number;
      readonly flag: ResponseFlag;
      readonly error: string | undefined;
      /** Client to server, whichever side reports. */
      readonly receivedBytes: number;
      readonly sentBytes: number;
      readonly durationMs: number;
    }
  /** Turned away before there was anything to count. */
  | {
      readonly kind: "failed";
      readonly direction: Direction;
      readonly source: string;
      readonly destination: string;
      readonly error: string;
    }
  /** A dry-run policy or a verdict, for the log. */
  | { readonly kind: "dryRunMatch"; readonly policy: string; readonly source: string; readonly destination: string }
  /** Answer to `drain`: nothing is open any more, and all reports were sent before. */
  | { readonly kind: "drained" }
  | { readonly kind: "sockets"; readonly inbound: number; readonly outbound: number }
  | { readonly kind: "handshakeSecretsBegun"; readonly run: number }
  /** A line in NSS key log format; comes only while asked for. */
  | { readonly kind: "handshakeSecret"; readonly line: string }
  | DnsReport
  | { readonly kind: "hostnameResolved"; readonly labels: ConnectionLabels; readonly hostname: string }
  | {
      readonly kind: "log";
      readonly level: "debug" | "warn" | "error";
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>>;
    };

export interface DnsReport {
  readonly kind: "dns";
  readonly pod: PodUid;
  readonly queryType: string;
  readonly domain: string;
  readonly protocol: DnsProtocol;
  readonly result: string;
  readonly canonicalService: string | undefined;
  readonly canonicalRevision: string | undefined;
  /** Present when an upstream server was asked. */
  readonly upstream: { readonly failed: boolean; readonly durationMs: number } | undefined;
}
