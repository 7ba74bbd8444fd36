import assert from "node:assert/strict";
import test from "node:test";
import type { IpAddress, Service, SpiffeId, Workload } from "@ambit/core";
import {
  gateway,
  identity,
  ip,
  type MeshContents,
  meshView,
  seededRandom,
  service,
  socketAddress,
  workload,
} from "@ambit/testkit";
import { formatDecision } from "./decision.ts";
import { completePlan, type OutboundPlan } from "./outbound-plan.ts";
import { explainOutbound, planOutbound } from "./plan-outbound.ts";

const client = workload().named("client").inNamespace("shop").as("client").at("10.0.0.1", "fd00::1").build();
const KEY = "shop/web.shop.svc.cluster.local";
const web = service().named("web").inNamespace("shop").at("10.96.0.1", "fd96::1").onPorts({ 80: 8080 });
const pod = workload().named("web-1").inNamespace("shop").as("web").at("10.0.0.2").serving(KEY);
const waypointKey = "shop/wp.shop.svc.cluster.local";
const waypointService = service()
  .named("wp")
  .inNamespace("shop")
  .at("10.96.0.9")
  .onPorts({ 15008: 15008 })
  .with({ subjectAltNames: [identity("shop", "wp-service")] });
const waypointPod = workload().named("wp-1").inNamespace("shop").as("wp").at("10.0.0.9", "fd00::9").serving(waypointKey);
const byHostname = gateway(waypointKey);
const gatewayPod = workload().named("ew").inNamespace("istio-system").as("ew").at("172.16.0.1");

interface Case {
  readonly name: string;
  readonly mesh: MeshContents;
  readonly to: string;
  readonly source?: Workload;
  readonly sourceIp?: string;
  readonly network?: string;
  readonly plan: Readonly<Record<string, unknown>>;
}

const w = (...builders: { build(): Workload }[]) => builders.map((builder) => builder.build());
const waypoint = { services: [waypointService.build()], workloads: w(waypointPod) };
const viaWaypoint = {
  kind: "hbone",
  viaWaypoint: true,
  expected: ["shop/sa/wp-service", "shop/sa/wp"],
  destinationWorkload: "wp-1",
};

const cases: readonly Case[] = [
  {
    name: "a service, over HBONE to the endpoint's target port",
    mesh: { services: [web.build()], workloads: w(pod) },
    to: "10.96.0.1:80",
    plan: {
      kind: "hbone",
      remote: "10.0.0.2:15008",
      authority: "10.0.0.2:8080",
      expected: ["shop/sa/web"],
      viaWaypoint: false,
      destinationWorkload: "web-1",
      destinationService: "web",
    },
  },
  {
    name: "a service with its own identities: any of them or the endpoint's",
    mesh: {
      services: [web.with({ subjectAltNames: [identity("shop", "extra"), identity("shop", "web")] }).build()],
      workloads: w(pod),
    },
    to: "10.96.0.1:80",
    plan: { kind: "hbone", expected: ["shop/sa/extra", "shop/sa/web"] },
  },
  {
    name: "a service whose endpoint is not in the mesh, as plain TCP",
    mesh: { services: [web.build()], workloads: w(pod.speaking("none")) },
    to: "10.96.0.1:80",
    plan: { kind: "tcp", remote: "10.0.0.2:8080", reason: "notInMesh", destinationWorkload: "web-1", destinationService: "web" },
  },
  {
    name: "a pod address, keeping the port",
    mesh: { workloads: w(pod) },
    to: "10.0.0.2:1234",
    plan: { kind: "hbone", remote: "10.0.0.2:15008", authority: "10.0.0.2:1234", destinationService: undefined },
  },
  {
    name: "a pod address that is also a virtual address: the service's endpoint, without its waypoint",
    mesh: {
      services: [web.at("10.0.0.7").behind(byHostname).build()],
      workloads: w(pod, workload().named("odd").at("10.0.0.7")),
    },
    to: "10.0.0.7:80",
    plan: { kind: "hbone", remote: "10.0.0.2:15008", viaWaypoint: false },
  },
  {
    name: "an unknown address, as it is",
    mesh: {},
    to: "93.184.216.34:443",
    plan: { kind: "tcp", remote: "93.184.216.34:443", reason: "passthrough", destinationWorkload: undefined },
  },
  {
    name: "a service that asks for passthrough, as it is",
    mesh: { services: [web.balanced("passthrough").build()], workloads: w(pod) },
    to: "10.96.0.1:80",
    plan: { kind: "tcp", remote: "10.96.0.1:80", reason: "passthrough", destinationService: "web" },
  },
  {
    name: "a service without endpoints: denied",
    mesh: { services: [web.build()] },
    to: "10.96.0.1:80",
    plan: {
      kind: "deny",
      code: "DECIDE_NO_HEALTHY_UPSTREAM",
      reasonText: "no healthy upstream: 10.96.0.1:80",
      destinationService: "web",
    },
  },
  {
    name: "a service on a port that it lacks: denied",
    mesh: { services: [web.build()], workloads: w(pod) },
    to: "10.96.0.1:81",
    plan: { kind: "deny", code: "DECIDE_NO_HEALTHY_UPSTREAM" },
  },
  {
    name: "a block of addresses",
    mesh: { services: [web.at("240.0.0.0/16").build()], workloads: w(pod) },
    to: "240.0.3.4:80",
    plan: { kind: "hbone", authority: "10.0.0.2:8080" },
  },
  {
    name: "a service hidden from the client's namespace, as unknown",
    mesh: { services: [web.inNamespace("other").with({ visibility: "namespace" }).build()] },
    to: "10.96.0.1:80",
    plan: { kind: "tcp", reason: "passthrough", remote: "10.96.0.1:80" },
  },
  {
    name: "a service with a waypoint, to the waypoint with the untranslated address",
    mesh: { services: [web.behind(byHostname).build(), ...waypoint.services], workloads: [...w(pod), ...waypoint.workloads] },
    to: "10.96.0.1:80",
    plan: { ...viaWaypoint, remote: "10.0.0.9:15008", authority: "10.96.0.1:80", destinationService: "web" },
  },
  {
    name: "a service with a waypoint, even without endpoints",
    mesh: { services: [web.behind(byHostname).build(), ...waypoint.services], workloads: waypoint.workloads },
    to: "10.96.0.1:80",
    plan: { ...viaWaypoint, authority: "10.96.0.1:80" },
  },
  {
    name: "a waypoint by hostname, in the family that the client dialled",
    mesh: { services: [web.behind(byHostname).build(), ...waypoint.services], workloads: waypoint.workloads },
    to: "[fd96::1]:80",
    plan: { ...viaWaypoint, remote: "[fd00::9]:15008", authority: "[fd96::1]:80" },
  },
  {
    name: "a waypoint by address, in the family of the reference",
    mesh: { services: [web.behind(gateway("/10.96.0.9")).build(), ...waypoint.services], workloads: waypoint.workloads },
    to: "[fd96::1]:80",
    plan: { ...viaWaypoint, remote: "10.0.0.9:15008" },
  },
  {
    name: "a waypoint by the address of its pod, on another port",
    mesh: { services: [web.behind(gateway("/10.0.0.9", 15009)).build()], workloads: waypoint.workloads },
    to: "10.96.0.1:80",
    plan: { kind: "hbone", remote: "10.0.0.9:15009", expected: ["shop/sa/wp"], viaWaypoint: true },
  },
  {
    name: "a waypoint that is a workload with that hostname",
    mesh: {
      services: [web.behind(gateway("shop/wp.example.com")).build()],
      workloads: w(waypointPod.with({ hostname: "wp.example.com" })),
    },
    to: "10.96.0.1:80",
    plan: { kind: "hbone", remote: "10.0.0.9:15008", viaWaypoint: true },
  },
  {
    name: "a service whose waypoint is not known: denied, never bypassed",
    mesh: { services: [web.behind(byHostname).build()], workloads: w(pod) },
    to: "10.96.0.1:80",
    plan: {
      kind: "deny",
      code: "DECIDE_WAYPOINT_UNKNOWN",
      reasonText: `unknown waypoint: ${waypointKey}`,
      destinationService: "web",
    },
  },
  {
    name: "a service whose waypoint has no healthy instance: denied",
    mesh: { services: [web.behind(byHostname).build(), ...waypoint.services], workloads: w(pod, waypointPod.unhealthy()) },
    to: "10.96.0.1:80",
    plan: { kind: "deny", code: "DECIDE_WAYPOINT_UNKNOWN" },
  },
  {
    name: "a service without waypoint, direct even when the endpoint has one",
    mesh: { services: [web.build(), ...waypoint.services], workloads: [...w(pod.behind(byHostname)), ...waypoint.workloads] },
    to: "10.96.0.1:80",
    plan: { kind: "hbone", remote: "10.0.0.2:15008", viaWaypoint: false },
  },
  {
    name: "a pod with a waypoint, to the waypoint",
    mesh: { services: waypoint.services, workloads: [...w(pod.behind(byHostname)), ...waypoint.workloads] },
    to: "10.0.0.2:1234",
    plan: { ...viaWaypoint, remote: "10.0.0.9:15008", authority: "10.0.0.2:1234" },
  },
  {
    name: "a pod whose waypoint is not known: denied",
    mesh: { workloads: w(pod.behind(byHostname)) },
    to: "10.0.0.2:1234",
    plan: { kind: "deny", code: "DECIDE_WAYPOINT_UNKNOWN", destinationWorkload: "web-1" },
  },
  {
    name: "a pod from its own waypoint, direct",
    mesh: { services: waypoint.services, workloads: [...w(pod.behind(byHostname)), ...waypoint.workloads] },
    source: waypointPod.build(),
    sourceIp: "10.0.0.9",
    to: "10.0.0.2:1234",
    plan: { kind: "hbone", remote: "10.0.0.2:15008", viaWaypoint: false },
  },
  {
    name: "a pod from something with the waypoint's identity at another address, to the waypoint",
    mesh: { services: waypoint.services, workloads: [...w(pod.behind(byHostname)), ...waypoint.workloads] },
    source: waypointPod.build(),
    sourceIp: "10.0.0.77",
    to: "10.0.0.2:1234",
    plan: { kind: "hbone", remote: "10.0.0.9:15008", viaWaypoint: true },
  },
  {
    name: "a pod from something at the waypoint's address with another identity, to the waypoint",
    mesh: { services: waypoint.services, workloads: [...w(pod.behind(byHostname)), ...waypoint.workloads] },
    source: waypointPod.as("impostor").build(),
    sourceIp: "10.0.0.9",
    to: "10.0.0.2:1234",
    plan: { kind: "hbone", remote: "10.0.0.9:15008", viaWaypoint: true },
  },
  {
    name: "a service with a waypoint from the waypoint itself, still to the waypoint",
    mesh: { services: [web.behind(byHostname).build(), ...waypoint.services], workloads: waypoint.workloads },
    source: waypointPod.build(),
    sourceIp: "10.0.0.9",
    to: "10.96.0.1:80",
    plan: { kind: "hbone", viaWaypoint: true },
  },
  {
    name: "an endpoint in another network, through its gateway",
    mesh: {
      services: [web.with({ subjectAltNames: [identity("shop", "web")] }).build()],
      workloads: w(pod.at().inNetwork("n2", gateway("n2/172.16.0.1")), gatewayPod.inNetwork("n2")),
    },
    to: "10.96.0.1:80",
    plan: {
      kind: "doubleHbone",
      remote: "172.16.0.1:15008",
      authority: "web.shop.svc.cluster.local:80",
      expected: ["istio-system/sa/ew"],
      inner: ["shop/sa/web"],
      viaWaypoint: false,
      destinationService: "web",
    },
  },
  {
    name: "an endpoint in another network without gateway: denied",
    mesh: { services: [web.build()], workloads: w(pod.inNetwork("n2")) },
    to: "10.96.0.1:80",
    plan: { kind: "deny", code: "DECIDE_GATEWAY_UNKNOWN" },
  },
  {
    name: "an endpoint in another network whose gateway is not known: denied",
    mesh: { services: [web.build()], workloads: w(pod.inNetwork("n2", gateway("n2/172.16.0.1"))) },
    to: "10.96.0.1:80",
    plan: { kind: "deny", code: "DECIDE_GATEWAY_UNKNOWN" },
  },
  {
    name: "a pod of another network by its address: denied",
    mesh: { workloads: w(pod.inNetwork("n2", gateway("n2/172.16.0.1")), gatewayPod.inNetwork("n2")) },
    source: workload().named("client").at("10.0.0.1").inNetwork("n1").build(),
    network: "n2",
    to: "10.0.0.2:80",
    plan: { kind: "deny", code: "DECIDE_NETWORK_UNREACHABLE" },
  },
  {
    name: "a service whose waypoint is in another network, through two tunnels",
    mesh: {
      services: [web.behind(byHostname).build(), ...waypoint.services],
      workloads: w(waypointPod.inNetwork("n2", gateway("n2/172.16.0.1")), gatewayPod.inNetwork("n2")),
    },
    to: "10.96.0.1:80",
    plan: {
      kind: "doubleHbone",
      viaWaypoint: true,
      remote: "172.16.0.1:15008",
      inner: ["shop/sa/wp-service"],
      destinationWorkload: "wp-1",
    },
  },
  {
    name: "the proxy's own port on loopback: denied",
    mesh: {},
    to: "127.0.0.1:15001",
    plan: { kind: "deny", code: "DECIDE_RECURSIVE_CALL", reasonText: "attempted recursive call: 127.0.0.1:15001" },
  },
  {
    name: "the proxy's own port on the pod's address: denied",
    mesh: {},
    to: "10.0.0.1:15008",
    plan: { kind: "deny", code: "DECIDE_RECURSIVE_CALL" },
  },
  {
    name: "an application's port on loopback, as it is",
    mesh: {},
    to: "[::1]:8080",
    plan: { kind: "tcp", remote: "[::1]:8080" },
  },
  { name: "the same port elsewhere, as it is", mesh: {}, to: "10.9.9.9:15008", plan: { kind: "tcp", remote: "10.9.9.9:15008" } },
  {
    name: "a dual-stack endpoint, in the family that the client dialled",
    mesh: { services: [web.build()], workloads: w(pod.at("10.0.0.2", "fd00::2")) },
    to: "[fd96::1]:80",
    plan: { kind: "hbone", remote: "[fd00::2]:15008", authority: "[fd00::2]:8080" },
  },
  {
    name: "a dual-stack endpoint of an IPv4 service, by IPv4",
    mesh: { services: [web.with({ ipFamilies: "ipv4Only" }).build()], workloads: w(pod.at("fd00::2", "10.0.0.2")) },
    to: "[fd96::1]:80",
    plan: { kind: "hbone", remote: "10.0.0.2:15008" },
  },
  {
    name: "an IPv6 endpoint of an IPv4 service: denied",
    mesh: { services: [web.with({ ipFamilies: "ipv4Only" }).build()], workloads: w(pod.at("fd00::2")) },
    to: "10.96.0.1:80",
    plan: { kind: "deny", code: "DECIDE_NO_ADDRESS" },
  },
  {
    name: "an endpoint of the other family only, across families",
    mesh: { services: [web.build()], workloads: w(pod.at("fd00::2")) },
    to: "10.96.0.1:80",
    plan: { kind: "hbone", remote: "[fd00::2]:15008" },
  },
];

for (const { name, mesh, to, source = client, sourceIp = "10.0.0.1", network = "", plan: expected } of cases) {
  test(`planOutbound(): ${name}`, () => {
    const facts = { source, sourceIp: ip(sourceIp), destination: socketAddress(to) };
    const context = { network, random: () => 0 };
    const plan = planOutbound(meshView(mesh), facts, context);
    const shown = show(plan);
    for (const [field, value] of Object.entries(expected)) assert.deepEqual(shown[field], value, field);
    assert.equal(plan.source, source);
    const explained = explainOutbound(meshView(mesh), facts, context);
    assert.deepEqual(explained.outcome, plan);
  });
}

test("planOutbound() spreads connections over weighted waypoints", () => {
  const other = service().named("wp2").inNamespace("shop").onPorts({ 15008: 15008 });
  const otherPod = workload().named("wp2-1").at("10.0.0.10").serving("shop/wp2.shop.svc.cluster.local");
  const split = web.behind(gateway("shop/none")).with({
    weightedWaypoints: [
      { destination: byHostname, weight: 90 },
      { destination: gateway("shop/wp2.shop.svc.cluster.local"), weight: 10 },
    ],
  });
  const view = meshView({
    services: [split.build(), ...waypoint.services, other.build()],
    workloads: [...waypoint.workloads, otherPod.build()],
  });
  const random = seededRandom(3);
  let toOther = 0;
  for (let i = 0; i < 2000; i++) {
    const facts = { source: client, sourceIp: ip("10.0.0.1"), destination: socketAddress("10.96.0.1:80") };
    const plan = planOutbound(view, facts, { network: "", random });
    if (plan.kind === "hbone" && plan.destinationWorkload?.name === "wp2-1") toOther++;
  }
  assert.ok(toOther > 130 && toOther < 280, `${toOther} of 2000`);
});

test("planOutbound() falls back to the only waypoint when all weights are 0", () => {
  const split = web.behind(byHostname).with({ weightedWaypoints: [{ destination: gateway("shop/none"), weight: 0 }] });
  const view = meshView({ services: [split.build(), ...waypoint.services], workloads: waypoint.workloads });
  const facts = { source: client, sourceIp: ip("10.0.0.1"), destination: socketAddress("10.96.0.1:80") };
  assert.equal(planOutbound(view, facts, { network: "", random: () => 0 }).kind, "hbone");
});

function hostnamePlan(fields: Parameters<typeof pod.with>[0], serviceFields: Parameters<typeof web.with>[0] = {}) {
  const external = pod.at().with({ hostname: "api.example.com", ...fields });
  const view = meshView({ services: [web.with(serviceFields).build()], workloads: [external.build()] });
  const facts = { source: client, sourceIp: ip("10.0.0.1"), destination: socketAddress("10.96.0.1:80") };
  const plan = planOutbound(view, facts, { network: "", random: () => 0 });
  assert.ok(plan.kind === "resolveHostname");
  return plan;
}
const ips = (...texts: string[]): IpAddress[] => texts.map(ip);

test("completePlan() dials a resolved address of the preferred family", () => {
  const plan = hostnamePlan({ tunnelProtocol: "none" });
  assert.equal(plan.hostname, "api.example.com");
  const tcp = show(completePlan(plan, ips("fd00::5", "1.2.3.4"), () => 0.99));
  assert.deepEqual([tcp["kind"], tcp["remote"], tcp["destinationService"]], ["tcp", "1.2.3.4:8080", "web"]);
  assert.equal(show(completePlan(plan, ips("fd00::5"), () => 0))["remote"], "[fd00::5]:8080");
});

test("completePlan() puts the resolved address in the authority of an HBONE hop", () => {
  const plan = show(completePlan(hostnamePlan({}), ips("1.2.3.4"), () => 0));
  assert.deepEqual([plan["kind"], plan["remote"], plan["authority"]], ["hbone", "1.2.3.4:15008", "1.2.3.4:8080"]);
});

test("completePlan() draws evenly", () => {
  const plan = hostnamePlan({});
  const random = seededRandom(5);
  const seen = new Set<unknown>();
  for (let i = 0; i < 100; i++) seen.add(show(completePlan(plan, ips("1.1.1.1", "1.1.1.2", "1.1.1.3"), random))["remote"]);
  assert.equal(seen.size, 3);
});

test("completePlan() denies without an address of an allowed family", () => {
  assert.equal(completePlan(hostnamePlan({}), [], () => 0).kind, "deny");
  const plan = hostnamePlan({}, { ipFamilies: "ipv6Only" });
  const denied = completePlan(plan, ips("1.2.3.4"), () => 0);
  assert.ok(denied.kind === "deny");
  assert.equal(denied.code, "DECIDE_NO_ADDRESS");
});

test("planOutbound() denies when neither address nor hostname can be dialled", () => {
  const view = meshView({
    workloads: w(workload().named("wp").inNamespace("shop").with({ hostname: "wp" }), pod.behind(gateway("shop/wp"))),
  });
  const facts = { source: client, sourceIp: ip("10.0.0.1"), destination: socketAddress("10.0.0.2:80") };
  const plan = planOutbound(view, facts, { network: "", random: () => 0 });
  assert.ok(plan.kind === "resolveHostname");
  assert.deepEqual([plan.hostname, plan.port, plan.plan.kind], ["wp", 15008, "hbone"]);
  const complete = completePlan(plan, ips("9.9.9.9"), () => 0);
  assert.deepEqual([show(complete)["remote"], show(complete)["authority"]], ["9.9.9.9:15008", "10.0.0.2:80"]);
});

test("explainOutbound() tells the way in its order", () => {
  const { services, workloads } = waypoint;
  const view = meshView({ services: [web.behind(byHostname).build(), ...services], workloads: [...w(pod), ...workloads] });
  const facts = { source: client, sourceIp: ip("10.0.0.1"), destination: socketAddress("10.96.0.1:80") };
  assert.deepEqual(formatDecision(explainOutbound(view, facts, { network: "", random: () => 0 })), [
    "resolve   10.96.0.1:80 is service shop/web.shop.svc.cluster.local",
    "waypoint  shop/wp.shop.svc.cluster.local through Kubernetes//Pod/shop/wp-1  <-- decides",
  ]);
});

/** A plan as short texts, for comparison. */
function show(plan: OutboundPlan): Record<string, unknown> {
  const remote = "remote" in plan ? formatRemote(plan.remote) : undefined;
  const named: { destinationWorkload?: Workload; destinationService?: Service } = plan.kind === "resolveHostname" ? {} : plan;
  return {
    ...plan,
    remote,
    expected: "expectedIdentities" in plan ? plan.expectedIdentities.map(short) : undefined,
    inner: "innerExpectedIdentities" in plan ? plan.innerExpectedIdentities.map(short) : undefined,
    reasonText: plan.kind === "deny" ? plan.reason : undefined,
    destinationWorkload: named.destinationWorkload?.name,
    destinationService: named.destinationService?.name,
  };
}

function short(id: SpiffeId): string {
  return id.replace("spiffe://cluster.local/ns/", "");
}

function formatRemote({ ip: address, port }: { ip: IpAddress; port: number }): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
