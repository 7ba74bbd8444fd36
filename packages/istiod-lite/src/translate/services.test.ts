import assert from "node:assert/strict";
import { test } from "node:test";
import { indexed } from "../testing/indexed.ts";
import { kubernetesService, namespace, object, pod, serviceEntry } from "../testing/objects.ts";

const host = (name: string) => `bookinfo/${name}.bookinfo.svc.cluster.local`;

test("translateKubernetesService() reads a port's protocol from appProtocol, then its name, then its number", () => {
  const ports = [
    { port: 1, name: "http-x", appProtocol: "kubernetes.io/h2c" },
    { port: 2, name: "GRPC" },
    { port: 3, name: "grpc-web-x" },
    { port: 4, name: "https-x" },
    { port: 5, name: "other" },
    { port: 3306, name: "db" },
    { port: 6, name: "http", protocol: "UDP" },
    { port: 7, name: "tcp", appProtocol: "unheard-of" },
  ];
  const mesh = indexed([kubernetesService("s", { clusterIP: "10.96.0.1", ports })]);
  const protocols = mesh.service(host("s")).ports.map(({ appProtocol }) => appProtocol);
  assert.deepEqual(protocols, ["http2", "grpc", "unknown", "tls", "unknown", "tcp", "unknown", "unknown"]);
});

test("translateKubernetesService() has no addresses for a headless service and leaves out an ExternalName", () => {
  const mesh = indexed([
    kubernetesService("headless", { clusterIP: "None", ports: [{ port: 80 }] }),
    kubernetesService("alias", { type: "ExternalName", externalName: "example.com" }),
    kubernetesService("dual", { clusterIPs: ["10.96.0.1", "fd00::1"], ports: [{ port: 80 }] }),
  ]);
  assert.deepEqual(mesh.names(), [host("dual"), host("headless")]);
  assert.deepEqual([mesh.service(host("headless")).addresses, mesh.service(host("dual")).ipFamilies], [[], "dual"]);
});

test("loadBalancingOf() lets the spec win over the service's annotation and that over the namespace's", () => {
  const key = "networking.istio.io/traffic-distribution";
  const close = { routingPreference: ["network", "region", "zone"], mode: "failover", healthPolicy: "onlyHealthy" };
  const mesh = indexed([
    { ...namespace("bookinfo"), metadata: { name: "bookinfo", annotations: { [key]: "PreferClose" } } },
    kubernetesService("inherits", { ports: [] }),
    kubernetesService("masks", { ports: [] }, { annotations: { [key]: "Any" } }),
    kubernetesService("spec", { ports: [], trafficDistribution: "PreferSameNode" }, { annotations: { [key]: "Any" } }),
    kubernetesService("local", { ports: [], internalTrafficPolicy: "Local", publishNotReadyAddresses: true }),
  ]);
  assert.deepEqual(mesh.service(host("inherits")).loadBalancing, close);
  assert.equal(mesh.service(host("masks")).loadBalancing, undefined);
  assert.deepEqual(mesh.service(host("spec")).loadBalancing?.routingPreference, ["network", "region", "zone", "subzone", "node"]);
  assert.deepEqual(mesh.service(host("local")).loadBalancing, {
    routingPreference: ["node"],
    mode: "strict",
    healthPolicy: "allowAll",
  });
});

test("translateServiceEntry() passes through to the dialled address with resolution NONE", () => {
  const spec = { hosts: ["*.example.com"], addresses: ["192.0.2.0/24"], ports: [{ number: 443, name: "tls", protocol: "TLS" }] };
  const mesh = indexed([serviceEntry("wild", spec)]);
  const { addresses, loadBalancing } = mesh.service("bookinfo/*.example.com");
  assert.deepEqual(addresses, [{ network: "", ip: "192.0.2.0", length: 24 }]);
  assert.deepEqual(loadBalancing, { routingPreference: [], mode: "passthrough", healthPolicy: "allowAll" });
});

test("translateServiceEntry() selects pods and workload entries, these with ports by the entry's port names", () => {
  const spec = {
    hosts: ["app.mesh"],
    ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: 8080 }],
    resolution: "STATIC",
    workloadSelector: { labels: { app: "a" } },
  };
  const entry = object("networking.istio.io/v1", "WorkloadEntry", "vm", {
    spec: { address: "192.0.2.5", labels: { app: "a" }, ports: { http: 9999 }, weight: 3, locality: "r/z/s" },
  });
  const mesh = indexed([serviceEntry("app", spec), pod("a", { labels: { app: "a" } }), entry]);
  const vm = mesh.workload("Kubernetes/networking.istio.io/WorkloadEntry/bookinfo/vm");
  assert.equal(
    mesh
      .pod("a")
      .services.get("bookinfo/app.mesh" as never)
      ?.get(80),
    8080,
  );
  assert.equal(vm.services.get("bookinfo/app.mesh" as never)?.get(80), 9999);
  assert.deepEqual([vm.capacity, vm.locality], [3, { region: "r", zone: "z", subzone: "s" }]);
});

test("translateInlineEndpoints() makes each host its own endpoint when it is resolved by name", () => {
  const spec = { hosts: ["a.example.com", "b.example.com"], ports: [{ number: 80, name: "http" }], resolution: "DNS" };
  const mesh = indexed([serviceEntry("ext", spec)]);
  const endpoint = mesh.workload("Kubernetes/networking.istio.io/ServiceEntry/bookinfo/ext/b.example.com");
  assert.deepEqual([endpoint.hostname, [...endpoint.services.keys()]], ["b.example.com", ["bookinfo/b.example.com"]]);
});

test("allocateAddresses() gives hosts without addresses stable ones, none twice, and respects those in use", () => {
  const dns = (name: string, rest = {}) =>
    serviceEntry(name, { hosts: [`${name}.example.com`], ports: [{ number: 80, name: "http" }], resolution: "DNS" }, rest);
  const before = indexed([dns("a"), dns("b")]);
  const [first] = before.service("bookinfo/a.example.com").addresses;
  assert.match(first?.ip ?? "", /^240\.240\./);
  assert.match(before.service("bookinfo/a.example.com").addresses[1]?.ip ?? "", /^2001:2::/);
  const taken = serviceEntry("taken", { hosts: ["t.example.com"], addresses: [first?.ip], ports: [], resolution: "NONE" });
  const after = indexed([dns("b"), taken, dns("a")]);
  assert.notEqual(after.service("bookinfo/a.example.com").addresses[0]?.ip, first?.ip);
  assert.deepEqual(after.service("bookinfo/b.example.com"), before.service("bookinfo/b.example.com"));
  const off = indexed([dns("a", { labels: { "networking.istio.io/enable-autoallocate-ip": "false" } })]);
  assert.deepEqual(off.service("bookinfo/a.example.com").addresses, []);
});

test("chooseServices() prefers a Kubernetes Service, then the oldest; one definition is canonical across namespaces", () => {
  const spec = { hosts: ["x.example.com"], ports: [], resolution: "NONE" };
  const mesh = indexed([
    serviceEntry("young", spec, { creationTimestamp: "2026-02-01T00:00:00Z" }),
    serviceEntry("old", spec, { creationTimestamp: "2026-01-01T00:00:00Z" }),
    serviceEntry("elsewhere", spec, { namespace: "other", creationTimestamp: "2026-01-15T00:00:00Z" }),
    kubernetesService("s", { ports: [{ port: 80 }] }),
    serviceEntry("claims", { ...spec, hosts: ["s.bookinfo.svc.cluster.local"] }, { creationTimestamp: "2020-01-01T00:00:00Z" }),
  ]);
  assert.equal(mesh.service("bookinfo/x.example.com").name, "old");
  assert.deepEqual(
    [mesh.service("bookinfo/x.example.com").canonical, mesh.service("other/x.example.com").canonical],
    [true, false],
  );
  assert.equal(mesh.service(host("s")).name, "s");
});
