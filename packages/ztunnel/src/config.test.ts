import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { MeshError } from "@ambit/core";
import { loadConfig } from "@ambit/runtime";
import { parseNameservers, terminationDeadlineMs, workerThreads, ztunnelConfigSpec } from "./config.ts";

const load = (env: Readonly<Record<string, string>> = {}) => loadConfig(ztunnelConfigSpec, { NODE_NAME: "n1", ...env });

test("ztunnelConfigSpec has upstream's defaults", () => {
  const config = load();
  assert.deepEqual(
    {
      trustDomain: config.trustDomain,
      network: config.network,
      clusterId: config.clusterId,
      clusterDomain: config.clusterDomain,
      packetMark: config.packetMark,
      originalSource: config.originalSource,
      poolMaxStreams: config.poolMaxStreams,
      poolIdleMs: config.poolIdleMs,
      secretTtlMs: config.secretTtlMs,
      zdsSocket: config.zdsSocket,
      xdsAddress: config.xdsAddress,
      dnsCapture: config.dnsCapture,
      deadline: terminationDeadlineMs(config),
      ports: [config.adminPort, config.statsPort, config.readinessPort],
    },
    {
      trustDomain: "cluster.local",
      network: "",
      clusterId: "Kubernetes",
      clusterDomain: "cluster.local",
      packetMark: 1337,
      originalSource: undefined,
      poolMaxStreams: 100,
      poolIdleMs: 300_000,
      secretTtlMs: 86_400_000,
      zdsSocket: "/var/run/ztunnel/ztunnel.sock",
      xdsAddress: "https://istiod.istio-system.svc:15012",
      dnsCapture: true,
      deadline: 5_000,
      ports: [15000, 15020, 15021],
    },
  );
});

test("ztunnelConfigSpec names every violation at once, by its variable", () => {
  const env = {
    NODE_NAME: "",
    PACKET_MARK: "0",
    INSTANCE_IP: "here",
    ZTUNNEL_WORKER_THREADS: "many",
    SECRET_TTL: "soon",
    POOL_MAX_STREAMS_PER_CONNECTION: "-1",
    XDS_ADDRESS: "http://",
    ADMIN_PORT: "70000",
    RUST_LOG: "noisy",
    LOG_FORMAT: "xml",
    IPV6_ENABLED: "perhaps",
    ENABLE_ORIG_SRC: "perhaps",
  };
  assert.throws(
    () => load(env),
    (error) => {
      assert.ok(error instanceof MeshError);
      for (const name of Object.keys(env)) assert.ok(error.message.includes(name), `${name} is missing in: ${error.message}`);
      return true;
    },
  );
});

test("ztunnelConfigSpec takes the cluster's name from the older variable only when the newer is absent", () => {
  assert.equal(load({ CLUSTER_ID: "b" }).clusterId, "b");
  assert.equal(load({ CLUSTER_ID: "b", ISTIO_META_CLUSTER_ID: "a" }).clusterId, "a");
});

test("ztunnelConfigSpec takes control plane addresses with and without a scheme", () => {
  assert.equal(load({ XDS_ADDRESS: "istiod:15012" }).xdsAddress, "https://istiod:15012");
  assert.equal(load({ CA_ADDRESS: "http://127.0.0.1:1" }).caAddress, "http://127.0.0.1:1");
});

test("terminationDeadlineMs() leaves room before Kubernetes kills", () => {
  const deadline = (env: Readonly<Record<string, string>>) => terminationDeadlineMs(load(env));
  assert.equal(deadline({ TERMINATION_GRACE_PERIOD_SECONDS: "30s" }), 25_000);
  assert.equal(deadline({ TERMINATION_GRACE_PERIOD_SECONDS: "30" }), 25_000);
  assert.equal(deadline({ TERMINATION_GRACE_PERIOD_SECONDS: "10" }), 9_000);
  assert.equal(deadline({ TERMINATION_GRACE_PERIOD_SECONDS: "1" }), 1_000);
  assert.equal(deadline({ TERMINATION_GRACE_PERIOD_SECONDS: "30", CONNECTION_TERMINATION_DEADLINE: "7s" }), 7_000);
});

test("workerThreads() takes a number, all cores, or a share of them", () => {
  const threads = (text: string) => workerThreads(load({ ZTUNNEL_WORKER_THREADS: text }));
  assert.equal(threads("3"), 3);
  assert.equal(threads("0"), availableParallelism());
  assert.equal(threads("100%"), availableParallelism());
  assert.equal(threads("1%"), 1);
  assert.ok(workerThreads(load()) >= 2);
});

test("parseNameservers() takes nameserver lines in order and nothing else", () => {
  const text = [
    "# nameserver 192.0.2.9",
    "search svc.cluster.local",
    "nameserver 10.96.0.10",
    "  nameserver\t2001:db8::53   # second",
    "nameserver fe80::1%eth0",
    "nameserver resolver.example.com",
    "nameservers 192.0.2.1",
    "nameserver 192.0.2.2;comment",
    "nameserver 192.0.2.3\r",
    "nameserver",
  ].join("\n");
  assert.deepEqual(parseNameservers(text), ["10.96.0.10", "2001:db8::53", "192.0.2.2", "192.0.2.3"]);
});
