// What the admin page of a running proxy shows, against what a recorded one showed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "@ambit/testkit";
import { connect, echoOn, receive, twoPods, VIP } from "../testing/traffic.ts";

test("dumpConfig() has the shape that istioctl reads", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  const ztunnel = await lab.startZtunnel();
  const open = connect(t, client.netns, VIP, 80);
  open.write("x");
  await receive(open);
  const dump = await eventually(async () => {
    const { workloadState, ...rest } = (await ztunnel.dump()) as { workloadState: { [uid: string]: PodState } };
    return workloadState["uid-server"]?.connections.inbound.length === 1 && { workloadState, ...(rest as unknown as Dump) };
  });
  const recorded = ["certificates", "config", "policies", "services", "stagedServices", "staticConfig", "version", "workloads"];
  for (const key of recorded) assert.ok(key in dump, key);
  for (const key of CONFIG_KEYS.split(" ")) assert.ok(key in dump.config, key);
  assert.deepEqual(Object.keys(dump.version), [...VERSION_KEYS]);
  const [workload] = dump.workloads.filter(({ name }) => name === "client");
  assert.deepEqual(workload, {
    workloadIps: [client.ip, client.ip6],
    protocol: "HBONE",
    networkMode: "Standard",
    uid: "Kubernetes//Pod/default/client",
    name: "client",
    namespace: "default",
    trustDomain: "cluster.local",
    serviceAccount: "client",
    workloadName: "client",
    workloadType: "pod",
    canonicalName: "client",
    canonicalRevision: "latest",
    node: "n1",
    status: "Healthy",
    clusterId: "Kubernetes",
    capacity: 1,
  });
  const [certificate] = dump.certificates.filter(({ identity }) => identity.endsWith("/sa/client"));
  assert.equal(certificate?.state, "Available");
  assert.deepEqual(Object.keys(certificate?.certChain[0] ?? {}).sort(), ["expirationTime", "pem", "serialNumber", "validFrom"]);
  assert.match(Buffer.from(certificate?.certChain[0]?.pem ?? "", "base64").toString(), /^-----BEGIN CERTIFICATE-----/);
  assert.ok((certificate?.rootCerts.length ?? 0) > 0);
  const { state, info, connections } = dump.workloadState["uid-client"] ?? {};
  assert.deepEqual([state, info], ["Up", { name: "client", namespace: "default", serviceAccount: "client" }]);
  const src = connections?.outbound[0]?.src;
  assert.match(src ?? "", /^10\.79\.0\.1:\d+$/);
  assert.deepEqual(connections, {
    inbound: [],
    outbound: [{ src, originalDst: `${VIP}:80`, actualDst: "10.79.0.2:15008", protocol: "HBONE" }],
  });
});

const VERSION_KEYS = [
  "version",
  "gitRevision",
  "rustVersion",
  "nodeVersion",
  "buildProfile",
  "buildStatus",
  "istioVersion",
  "cryptoProvider",
] as const;

/** Of a recorded dump. */
const CONFIG_KEYS =
  "adminAddr altCaHostname altXdsHostname caAddress caHeaders caRootCert clusterDomain clusterId connectionWindowSize crlPath dnsProxy dnsProxyAddr enableEnhancedBaggage fakeCa fakeSelfInbound frameSize illegalPorts inboundAddr inboundPlaintextAddr inpodPortReuse inpodUds ipv6Enabled localNode localhostAppTunnel network numWorkerThreads outboundAddr packetMark poolMaxStreamsPerConn poolUnusedReleaseTimeout preferedServiceNamespace proxy proxyArgs proxyMetadata proxyMode proxyWorkloadInformation readinessAddr requireOriginalSource secretTtl selfTerminationDeadline socketConfig socks5Addr statsAddr windowSize xdsAddress xdsHeaders xdsOnDemand xdsRootCert ztunnelIdentity ztunnelWorkload";

interface PodState {
  readonly state: string;
  readonly info: object;
  readonly connections: { readonly inbound: readonly object[]; readonly outbound: readonly { readonly src: string }[] };
}

interface Dump {
  readonly version: object;
  readonly config: object;
  readonly workloads: readonly { readonly name: string }[];
  readonly certificates: readonly {
    readonly identity: string;
    readonly state: string;
    readonly certChain: readonly { readonly pem: string }[];
    readonly rootCerts: readonly object[];
  }[];
}
