// Everything that this proxy holds, as one JSON document. The shape is what istioctl ztunnel-config reads. @source ztunnel src/admin.rs
import { dumpMesh, type MeshState } from "@ambit/discovery";
import { dumpCertificates, type SvidManager } from "@ambit/identity";
import { terminationDeadlineMs, workerThreads, type ZtunnelConfig } from "../config.ts";
import type { WorkloadManager } from "../inpod/workload-manager.ts";
import type { ConnectionReports, OpenReport } from "../report/connection-reports.ts";

export interface DumpSources {
  readonly config: ZtunnelConfig;
  readonly version: string;
  readonly state: MeshState;
  readonly svids: SvidManager;
  readonly manager: WorkloadManager;
  readonly reports: ConnectionReports;
}

export function dumpConfig({ config, version, state, svids, manager, reports }: DumpSources): object {
  return {
    ...dumpMesh(state),
    staticConfig: { workloads: [], services: [], policies: [] },
    version: {
      version,
      gitRevision: "unknown",
      rustVersion: "unknown",
      nodeVersion: process.versions.node,
      buildProfile: "release",
      buildStatus: "Clean",
      istioVersion: version,
      cryptoProvider: `openssl-${process.versions.openssl}`,
    },
    config: dumpSettings(config),
    certificates: dumpCertificates(svids.status()),
    workloadState: dumpPods(manager, reports),
  };
}

function dumpPods(manager: WorkloadManager, reports: ConnectionReports): object {
  const connections = new Map<string, { inbound: object[]; outbound: object[] }>();
  for (const report of reports.list()) {
    let ofPod = connections.get(report.pod);
    if (ofPod === undefined) {
      ofPod = { inbound: [], outbound: [] };
      connections.set(report.pod, ofPod);
    }
    ofPod[report.labels.direction].push(dumpConnection(report));
  }
  return Object.fromEntries(
    manager.pods().map(({ pod, isUp }) => {
      const { uid, name, namespace, serviceAccount } = pod;
      const info = { name, namespace, serviceAccount };
      return [uid, { state: isUp ? "Up" : "Pending", connections: connections.get(uid) ?? { inbound: [], outbound: [] }, info }];
    }),
  );
}

/** @source ztunnel src/proxy/connection_manager.rs ConnectionDump */
function dumpConnection({ labels, source, destination, dialled, hboneTarget }: OpenReport): object {
  return {
    src: source,
    ...(dialled === undefined ? {} : { originalDst: dialled }),
    actualDst: labels.direction === "inbound" ? (hboneTarget ?? destination) : destination,
    protocol: labels.isMutualTls ? "HBONE" : "TCP",
  };
}

function dumpSettings(config: ZtunnelConfig): object {
  const duration = (ms: number) => ({ secs: Math.floor(ms / 1_000), nanos: (ms % 1_000) * 1_000_000 });
  return {
    adminAddr: { Localhost: [config.ipv6, config.adminPort] },
    statsAddr: { SocketAddr: `[::]:${config.statsPort}` },
    readinessAddr: { SocketAddr: `[::]:${config.readinessPort}` },
    inboundAddr: "[::]:15008",
    inboundPlaintextAddr: "[::]:15006",
    outboundAddr: "[::]:15001",
    dnsProxy: config.dnsCapture,
    dnsProxyAddr: { Localhost: [config.ipv6, 15053] },
    illegalPorts: [15008, 15001, 15006],
    inpodUds: config.zdsSocket,
    inpodPortReuse: true,
    packetMark: config.packetMark,
    ipv6Enabled: config.ipv6,
    localNode: config.nodeName,
    network: config.network,
    clusterId: config.clusterId,
    clusterDomain: config.clusterDomain,
    numWorkerThreads: workerThreads(config),
    proxy: true,
    proxyMode: "Shared",
    requireOriginalSource: config.originalSource ?? null,
    localhostAppTunnel: config.localhostAppTunnel,
    xdsAddress: config.xdsAddress,
    xdsRootCert: { File: config.xdsRootCert },
    xdsOnDemand: false,
    altXdsHostname: config.altXdsHostname ?? null,
    caAddress: config.caAddress,
    caRootCert: { File: config.caRootCert },
    altCaHostname: config.altCaHostname ?? null,
    xdsHeaders: [],
    caHeaders: [],
    crlPath: null,
    socketConfig: {
      keepaliveTime: duration(180_000),
      keepaliveInterval: duration(180_000),
      keepaliveRetries: 9,
      keepaliveEnabled: true,
      userTimeoutEnabled: false,
    },
    proxyArgs: process.argv.slice(2).join(" "),
    proxyMetadata: {},
    proxyWorkloadInformation: null,
    ztunnelIdentity: null,
    ztunnelWorkload: null,
    socks5Addr: null,
    fakeSelfInbound: false,
    enableEnhancedBaggage: config.responseBaggage,
    fakeCa: false,
    secretTtl: duration(config.secretTtlMs),
    poolMaxStreamsPerConn: config.poolMaxStreams,
    poolUnusedReleaseTimeout: duration(config.poolIdleMs),
    selfTerminationDeadline: duration(terminationDeadlineMs(config)),
    windowSize: 4 * 1024 * 1024,
    connectionWindowSize: 16 * 1024 * 1024,
    frameSize: 1024 * 1024,
    preferedServiceNamespace: config.preferredServiceNamespace ?? null,
  };
}
