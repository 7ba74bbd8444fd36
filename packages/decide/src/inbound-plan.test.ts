import assert from "node:assert/strict";
import test from "node:test";
import { formatSocketAddress, type Workload } from "@ambit/core";
import { gateway, ip, type MeshContents, meshView, service, socketAddress, workload } from "@ambit/testkit";
import { type InboundFacts, type InboundPlan, parseAuthority, planInbound, planInboundPassthrough } from "./inbound-plan.ts";

const KEY = "shop/web.shop.svc.cluster.local";
const local = workload().named("web-1").inNamespace("shop").at("10.0.0.2", "fd00::2").serving(KEY, { 80: 8080, 81: 0 });
const web = service().named("web").inNamespace("shop").at("10.96.0.1").onPorts({ 80: 0, 81: 8181, 82: 0, 83: 15008 });
const waypointKey = "shop/wp.shop.svc.cluster.local";
const waypointPod = workload().named("wp-1").inNamespace("shop").at("10.0.0.2").serving(waypointKey);
const waypointService = service().named("wp").inNamespace("shop").onPorts({ 15008: 15008 });
const tunnelled = local.with({ applicationTunnel: { protocol: "proxy", port: 0 } });

interface Case {
  readonly name: string;
  readonly authority: string;
  readonly local?: Workload | null;
  readonly mesh?: MeshContents;
  readonly facts?: Partial<InboundFacts>;
  readonly plan: Readonly<Record<string, unknown>>;
}

const cases: readonly Case[] = [
  { name: "the pod's own address and port", authority: "10.0.0.2:8080", plan: { destination: "10.0.0.2:8080", service: "web" } },
  {
    name: "the pod's IPv6 address",
    authority: "[fd00::2]:8080",
    facts: { localIp: ip("fd00::2") },
    plan: { destination: "[fd00::2]:8080" },
  },
  { name: "the mapped form of the pod's address", authority: "[::ffff:10.0.0.2]:8080", plan: { destination: "10.0.0.2:8080" } },
  { name: "a port of no service", authority: "10.0.0.2:9", plan: { destination: "10.0.0.2:9", service: undefined } },
  {
    name: "a service's hostname, by the endpoint's own port",
    authority: `web.shop.svc.cluster.local:80`,
    plan: { destination: "10.0.0.2:8080" },
  },
  { name: "a hostname in capitals", authority: "WEB.shop.svc.cluster.local:80", plan: { destination: "10.0.0.2:8080" } },
  {
    name: "a service's hostname, by the service's port",
    authority: "web.shop.svc.cluster.local:81",
    plan: { destination: "10.0.0.2:8181" },
  },
  {
    name: "a hostname whose port is not known here",
    authority: "web.shop.svc.cluster.local:82",
    plan: { status: 503, code: "DECIDE_PORT_UNKNOWN" },
  },
  {
    name: "a hostname's port that is missing",
    authority: "web.shop.svc.cluster.local:99",
    plan: { status: 503, code: "DECIDE_PORT_UNKNOWN" },
  },
  {
    name: "a hostname's port that leads to the proxy",
    authority: "web.shop.svc.cluster.local:83",
    plan: { status: 503, code: "DECIDE_PORT_RESERVED" },
  },
  { name: "an unknown hostname", authority: "nobody.example.com:80", plan: { status: 503, code: "DECIDE_HOSTNAME_UNKNOWN" } },
  {
    name: "another method",
    authority: "10.0.0.2:8080",
    facts: { method: "GET" },
    plan: { status: 400, code: "DECIDE_METHOD_UNSUPPORTED" },
  },
  { name: "no port", authority: "10.0.0.2", plan: { status: 400, code: "DECIDE_AUTHORITY_INVALID" } },
  { name: "nonsense", authority: "http://x/", plan: { status: 400, code: "DECIDE_AUTHORITY_INVALID" } },
  { name: "a reserved port", authority: "10.0.0.2:15001", plan: { status: 503, code: "DECIDE_PORT_RESERVED" } },
  { name: "the DNS port", authority: "10.0.0.2:15053", plan: { status: 503, code: "DECIDE_PORT_RESERVED" } },
  {
    name: "another pod's address",
    authority: "10.0.0.3:8080",
    plan: { status: 400, code: "DECIDE_AUTHORITY_MISMATCH", reason: "ip mismatch: 10.0.0.2 != 10.0.0.3" },
  },
  { name: "the pod's other address", authority: "[fd00::2]:8080", plan: { status: 400, code: "DECIDE_AUTHORITY_MISMATCH" } },
  {
    name: "a service of this pod by its virtual address",
    authority: "10.96.0.1:80",
    plan: { status: 400, code: "DECIDE_AUTHORITY_MISMATCH" },
  },
  {
    name: "a pod that discovery does not know",
    authority: "10.0.0.2:8080",
    local: null,
    plan: { status: 503, code: "DECIDE_WORKLOAD_UNKNOWN" },
  },
  {
    name: "a service behind this waypoint",
    authority: "10.96.0.1:8080",
    local: waypointPod.build(),
    mesh: { services: [web.behind(gateway(waypointKey)).build(), waypointService.build()], workloads: [waypointPod.build()] },
    plan: { destination: "10.0.0.2:8080" },
  },
  {
    name: "a service block behind this waypoint",
    authority: "10.96.5.5:8080",
    local: waypointPod.build(),
    mesh: {
      services: [web.at("10.96.0.0/16").behind(gateway(waypointKey)).build(), waypointService.build()],
      workloads: [waypointPod.build()],
    },
    plan: { destination: "10.0.0.2:8080" },
  },
  {
    name: "a workload behind this waypoint by address",
    authority: "10.0.0.3:8080",
    local: waypointPod.build(),
    mesh: { workloads: [workload().named("x").at("10.0.0.3").behind(gateway("/10.0.0.2")).build(), waypointPod.build()] },
    plan: { destination: "10.0.0.2:8080" },
  },
  {
    name: "a workload behind another waypoint",
    authority: "10.0.0.3:8080",
    local: waypointPod.build(),
    mesh: { workloads: [workload().named("x").at("10.0.0.3").behind(gateway("/10.0.0.4")).build(), waypointPod.build()] },
    plan: { status: 400, code: "DECIDE_AUTHORITY_MISMATCH" },
  },
  {
    name: "anything for a pod with an application tunnel, announcing what was asked for",
    authority: "1.2.3.4:8080",
    local: tunnelled.build(),
    plan: { destination: "10.0.0.2:8080", tunnel: "1.2.3.4:8080" },
  },
  {
    name: "an application tunnel on its own port",
    authority: "1.2.3.4:8080",
    local: local.with({ applicationTunnel: { protocol: "proxy", port: 15088 } }).build(),
    plan: { destination: "10.0.0.2:15088", tunnel: "1.2.3.4:8080" },
  },
  {
    name: "an application tunnel without PROXY",
    authority: "1.2.3.4:8080",
    local: local.with({ applicationTunnel: { protocol: "none", port: 15088 } }).build(),
    plan: { destination: "10.0.0.2:15088", tunnel: "" },
  },
  {
    name: "a hostname into an application tunnel, announcing the virtual address of the same network, then IPv4",
    authority: "web.shop.svc.cluster.local:80",
    local: tunnelled.build(),
    mesh: { services: [web.at("n2@10.96.0.9", "fd96::1", "10.96.0.1").build()] },
    plan: { destination: "10.0.0.2:8080", tunnel: "10.96.0.1:80" },
  },
  {
    name: "a hostname without any virtual address into an application tunnel",
    authority: "web.shop.svc.cluster.local:80",
    local: tunnelled.build(),
    mesh: { services: [web.at().build()] },
    plan: { status: 503, code: "DECIDE_VIP_MISSING" },
  },
];

for (const { name, authority, local: given, mesh, facts, plan: expected } of cases) {
  test(`planInbound(): ${name}`, () => {
    const view = meshView(mesh ?? { services: [web.build()], workloads: [local.build()] });
    const owner = given === null ? undefined : (given ?? local.build());
    const plan = planInbound(view, { method: "CONNECT", authority, local: owner, localIp: ip("10.0.0.2"), ...facts });
    const shown = show(plan);
    for (const [field, value] of Object.entries(expected)) assert.deepEqual(shown[field], value, field);
  });
}

test("planInbound() attributes to the forwarded host when this workload serves it, else by port", () => {
  const other = service().named("alias").inNamespace("shop").onPorts({ 80: 8080 });
  const stranger = service().named("stranger").inNamespace("shop").onPorts({ 80: 8080 });
  const pod = local.serving("shop/alias.shop.svc.cluster.local").build();
  const view = meshView({ services: [web.build(), other.build(), stranger.build()], workloads: [pod] });
  const attributed = (forwardedHost?: string) => {
    const host = forwardedHost === undefined ? {} : { forwardedHost };
    return show(
      planInbound(view, { method: "CONNECT", authority: "10.0.0.2:8080", local: pod, localIp: ip("10.0.0.2"), ...host }),
    )["service"];
  };
  assert.equal(attributed(), "web");
  assert.equal(attributed("alias.shop.svc.cluster.local"), "alias");
  assert.equal(attributed("stranger.shop.svc.cluster.local"), "web");
});

test("planInboundPassthrough() goes where it was going", () => {
  const view = meshView({ services: [web.build()], workloads: [local.build()] });
  const plan = planInboundPassthrough(view, { local: local.build(), destination: socketAddress("10.0.0.2:8080") });
  assert.deepEqual([show(plan)["destination"], show(plan)["service"]], ["10.0.0.2:8080", "web"]);
});

test("planInboundPassthrough() refuses the proxy's ports and pods that discovery does not know", () => {
  const view = meshView({});
  const reserved = planInboundPassthrough(view, { local: local.build(), destination: socketAddress("10.0.0.2:15006") });
  assert.equal(show(reserved)["code"], "DECIDE_PORT_RESERVED");
  const unknown = planInboundPassthrough(view, { local: undefined, destination: socketAddress("10.0.0.2:8080") });
  assert.equal(show(unknown)["code"], "DECIDE_WORKLOAD_UNKNOWN");
});

const authorities: readonly [text: string, expected: string | undefined][] = [
  ["1.2.3.4:80", "1.2.3.4 80"],
  ["[::1]:80", "::1 80"],
  ["a.b:80", "a.b 80"],
  ["A_b-c.d:65535", "a_b-c.d 65535"],
  ["1.2.3.4:0", undefined],
  ["a:0", undefined],
  ["a:65536", undefined],
  ["a:", undefined],
  [":80", undefined],
  ["a b:80", undefined],
  ["a/b:80", undefined],
  ["user@a:80", undefined],
  ["-a:80", undefined],
  ["a.:80", undefined],
  ["::1:80", undefined],
  ["1.2.3:80", undefined],
  ["01.2.3.4:80", undefined],
  ["999.1.1.1:80", undefined],
  [`${"a".repeat(255)}:80`, undefined],
  ["", undefined],
];

for (const [text, expected] of authorities) {
  test(`parseAuthority() makes ${text.slice(0, 30)} ${expected ?? "undefined"}`, () => {
    const target = parseAuthority(text);
    const shown =
      target?.kind === "address" ? `${target.address.ip} ${target.address.port}` : target && `${target.hostname} ${target.port}`;
    assert.equal(shown, expected);
  });
}

/** A plan as short texts, for comparison. */
function show(plan: InboundPlan): Record<string, unknown> {
  if (plan.kind === "refuse") return { ...plan };
  const { proxyDestination } = plan.applicationTunnel ?? {};
  const announced = proxyDestination === undefined ? "" : formatSocketAddress(proxyDestination);
  return {
    destination: formatSocketAddress(plan.destination),
    tunnel: plan.applicationTunnel === undefined ? undefined : announced,
    service: plan.service?.name,
  };
}
