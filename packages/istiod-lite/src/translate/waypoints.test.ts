import assert from "node:assert/strict";
import { test } from "node:test";
import { indexed } from "../testing/indexed.ts";
import { gateway, kubernetesService, namespace, pod, serviceEntry } from "../testing/objects.ts";

const WAYPOINT = {
  destination: { kind: "address", address: { network: "", ip: "10.96.0.9" } },
  hboneMtlsPort: 15008,
};
const use = (name: string, rest: Readonly<Record<string, string>> = {}) => ({
  labels: { "istio.io/use-waypoint": name, ...rest },
});
const host = (name: string) => `bookinfo/${name}.bookinfo.svc.cluster.local`;
const service = (name: string, rest = {}) => kubernetesService(name, { ports: [{ port: 80 }] }, rest);

test("bindWaypoint() takes the object's label before the namespace's, and none opts out", () => {
  const mesh = indexed([
    namespace("bookinfo", { "istio.io/use-waypoint": "w" }),
    gateway("w"),
    service("inherits"),
    service("opts-out", use("none")),
    service("absent", use("elsewhere")),
  ]);
  assert.deepEqual(mesh.service(host("inherits")).waypoint, WAYPOINT);
  assert.equal(mesh.service(host("opts-out")).waypoint, undefined);
  assert.equal(mesh.service(host("absent")).waypoint, undefined);
  assert.deepEqual(mesh.problems(), ["Service/absent: waypoint bookinfo/elsewhere does not exist or has no address yet"]);
});

test("bindWaypoint() binds services and workloads by what the waypoint is for", () => {
  const gateways = [gateway("s"), gateway("p", { labels: { "istio.io/waypoint-for": "workload" } })];
  const mesh = indexed([...gateways, service("a", use("s")), service("b", use("p")), pod("c", use("p")), pod("d", use("s"))]);
  assert.deepEqual(mesh.service(host("a")).waypoint, WAYPOINT);
  assert.equal(mesh.service(host("b")).waypoint, undefined);
  assert.deepEqual(mesh.pod("c").waypoint, WAYPOINT);
  assert.equal(mesh.pod("d").waypoint, undefined);
  assert.deepEqual(mesh.problems(), [
    "Service/b: waypoint bookinfo/p is for workload traffic, not for a service",
    "Pod/d: waypoint bookinfo/s is for service traffic, not for a workload",
  ]);
});

test("bindWaypoint() crosses namespaces only where the listener admits it", () => {
  const listener = (namespaces: unknown) => ({
    namespace: "infra",
    spec: {
      gatewayClassName: "istio-waypoint",
      listeners: [{ name: "mesh", port: 15008, protocol: "HBONE", allowedRoutes: { namespaces } }],
    },
  });
  const from = { "istio.io/use-waypoint-namespace": "infra" };
  const mesh = indexed([
    namespace("bookinfo", { team: "books" }),
    gateway("same", { namespace: "infra" }),
    gateway("all", listener({ from: "All" })),
    gateway("books", listener({ from: "Selector", selector: { matchLabels: { team: "books" } } })),
    gateway("others", listener({ from: "Selector", selector: { matchLabels: { team: "x" } } })),
    gateway("open-selector", listener({ from: "Selector" })),
    ...["same", "all", "books", "others", "open-selector"].map((name) => service(name, use(name, from))),
  ]);
  const bound = ["same", "all", "books", "others", "open-selector"].filter(
    (name) => mesh.service(host(name)).waypoint !== undefined,
  );
  assert.deepEqual(bound, ["all", "books"]);
});

test("bindWaypoint() binds neither a gateway's own service nor its pods", () => {
  const managed = { "gateway.networking.k8s.io/gateway-name": "w", "gateway.istio.io/managed": "istio.io-mesh-controller" };
  const mesh = indexed([
    namespace("bookinfo", { "istio.io/use-waypoint": "w" }),
    gateway("w", { labels: { "istio.io/waypoint-for": "all" } }),
    service("w", { labels: managed }),
    pod("w-1", { labels: managed }),
    pod("a"),
  ]);
  assert.equal(mesh.service(host("w")).waypoint, undefined);
  assert.equal(mesh.pod("w-1").waypoint, undefined);
  assert.deepEqual(mesh.pod("a").waypoint, WAYPOINT);
});

test("waypointOf() prefers a hostname and reads the inbound binding for its pods", () => {
  const addresses = [
    { type: "IPAddress", value: "10.96.0.9" },
    { type: "Hostname", value: "w.bookinfo.svc.cluster.local" },
  ];
  const mesh = indexed([
    gateway("w", { annotations: { "ambient.istio.io/waypoint-inbound-binding": "PROXY/15088" }, status: { addresses } }),
    service("a", use("w")),
    pod("w-1", { labels: { "gateway.networking.k8s.io/gateway-name": "w" } }),
  ]);
  const destination = { kind: "hostname", namespace: "bookinfo", hostname: "w.bookinfo.svc.cluster.local" };
  assert.deepEqual(mesh.service(host("a")).waypoint, { destination, hboneMtlsPort: 15008 });
  assert.deepEqual(mesh.pod("w-1").applicationTunnel, { protocol: "proxy", port: 15088 });
});

test("waypointsOfService() splits by weight, and keeps the primary when the canary cannot be attached", () => {
  const canary = (weight: string, name = "c") => ({
    ...use("w", { "istio.io/use-waypoint-canary": name, "istio.io/ingress-use-waypoint": "true" }),
    annotations: { "istio.io/use-waypoint-canary-weight": weight },
  });
  const mesh = indexed([
    gateway("w"),
    gateway("c", { status: { addresses: [{ value: "10.96.0.10" }] } }),
    service("split", canary("20")),
    service("wrong", canary("120")),
    service("same", canary("20", "w")),
    serviceEntry("entry", { hosts: ["e.example.com"], ports: [], resolution: "NONE" }, use("w")),
  ]);
  const split = mesh.service(host("split"));
  assert.deepEqual(
    split.weightedWaypoints.map(({ weight }) => weight),
    [80, 20],
  );
  assert.equal(split.ingressUseWaypoint, true);
  for (const name of ["wrong", "same"]) {
    assert.deepEqual(mesh.service(host(name)).weightedWaypoints, []);
    assert.deepEqual(mesh.service(host(name)).waypoint, WAYPOINT);
  }
  assert.equal(mesh.problems().length, 2);
  assert.deepEqual(mesh.service("bookinfo/e.example.com").waypoint, WAYPOINT);
});
