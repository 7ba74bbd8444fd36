import assert from "node:assert/strict";
import test from "node:test";
import type { Authorization, Service, Workload } from "@ambit/core";
import { authorization, gateway, ip, keyOfPolicy, keyOfService, meshView, seededRandom, service, workload } from "@ambit/testkit";
import { MeshState } from "./mesh-state.ts";
import type { MeshUpdate } from "./mesh-update.ts";

const KEY = keyOfService(service().named("web").build());
const web = service().named("web").at("10.96.0.1").onPorts({ 80: 8080 });
const pod = workload().named("web-1").at("10.0.0.1").serving(KEY);

function workloads(...values: Workload[]): MeshUpdate {
  const upserts = values.map((value) => ({ name: value.uid, resource: { kind: "workload", workload: value } as const }));
  return { addresses: { upserts, removals: [] } };
}
function services(...values: Service[]): MeshUpdate {
  const upserts = values.map((value) => ({ name: keyOfService(value), resource: { kind: "service", service: value } as const }));
  return { addresses: { upserts, removals: [] } };
}
function policies(...values: Authorization[]): MeshUpdate {
  return { authorizations: { upserts: values.map((resource) => ({ name: keyOfPolicy(resource), resource })), removals: [] } };
}
function removeAddresses(...removals: string[]): MeshUpdate {
  return { addresses: { upserts: [], removals } };
}
const names = (state: MeshState) => state.endpoints(KEY).map((endpoint) => endpoint.workload.name);

test("apply() stages endpoints of a service that arrives later", () => {
  const state = new MeshState();
  state.apply(workloads(pod.build()));
  assert.deepEqual(names(state), []);
  assert.deepEqual(
    [...state.stagedEndpoints()].map(([key]) => key),
    [KEY],
  );
  state.apply(services(web.build()));
  assert.deepEqual(names(state), ["web-1"]);
  assert.deepEqual([...state.stagedEndpoints()], []);
});

test("apply() keeps endpoints when their service is updated, and when it goes and comes back", () => {
  const state = new MeshState();
  state.apply(services(web.build()));
  state.apply(workloads(pod.build()));
  state.apply(services(web.at("10.96.0.2").build()));
  assert.deepEqual(names(state), ["web-1"]);
  state.apply(removeAddresses(KEY));
  assert.deepEqual([names(state), state.service(KEY), state.servicesByAddress("", ip("10.96.0.2"))], [[], undefined, []]);
  state.apply(services(web.build()));
  assert.deepEqual(names(state), ["web-1"]);
});

test("apply() moves a workload that changes address, service or hostname", () => {
  const state = new MeshState();
  state.apply(services(web.build()));
  state.apply(workloads(pod.with({ hostname: "a.example.com" }).build()));
  const moved = workload().named("web-1").at("10.0.0.2").with({ hostname: "b.example.com" }).build();
  state.apply(workloads(moved));
  assert.equal(state.workloadByAddress("", ip("10.0.0.1")), undefined);
  assert.equal(state.workloadByAddress("", ip("10.0.0.2")), moved);
  assert.equal(state.workloadByHostname("default", "a.example.com"), undefined);
  assert.equal(state.workloadByHostname("default", "b.example.com"), moved);
  assert.deepEqual(names(state), []);
});

test("apply() removes by uid first, then by namespace/hostname, and ignores what it does not know", () => {
  const state = new MeshState();
  const ambiguous = workload().withUid(KEY).at("10.0.0.9").build();
  state.apply(services(web.build()));
  state.apply(workloads(ambiguous, pod.build()));
  assert.deepEqual([...state.apply(removeAddresses(KEY)).workloads], [KEY]);
  assert.ok(state.service(KEY));
  assert.deepEqual([...state.apply(removeAddresses(KEY)).services], [KEY]);
  const nothing = state.apply(removeAddresses("a", "a/b/c", "a/b", pod.build().uid));
  assert.deepEqual([[...nothing.workloads], [...nothing.services]], [[pod.build().uid], []]);
  assert.deepEqual(state.size, { workloads: 0, services: 0, policies: 0 });
});

test("apply() answers with what is different and nothing else", () => {
  const state = new MeshState();
  const policy = authorization()
    .named("p")
    .rule({ namespaces: ["a"] });
  const first = state.apply({ ...workloads(pod.build()), ...policies(policy.build()) });
  assert.deepEqual([[...first.workloads], [...first.policies]], [[pod.build().uid], ["default/p"]]);
  const again = state.apply({ ...workloads(pod.build()), ...policies(policy.build()) });
  assert.deepEqual([again.workloads.size, again.policies.size], [0, 0]);
  const changed = state.apply({ ...workloads(pod.unhealthy().build()), ...policies(policy.denying().build()) });
  assert.deepEqual([[...changed.workloads], [...changed.policies]], [[pod.build().uid], ["default/p"]]);
  const removed = state.apply({ authorizations: { upserts: [], removals: ["default/p", "default/other"] } });
  assert.deepEqual([...removed.policies], ["default/p"]);
});

test("apply() moves a policy that changes scope", () => {
  const state = new MeshState();
  const policy = authorization().named("p").inNamespace("shop");
  const seen = () => [state.policiesOfNamespace("shop").length, state.globalPolicies().length];
  state.apply(policies(policy.build()));
  assert.deepEqual(seen(), [1, 0]);
  state.apply(policies(policy.forWholeMesh().build()));
  assert.deepEqual(seen(), [0, 1]);
  state.apply(policies(policy.forSelector().build()));
  assert.deepEqual(seen(), [0, 0]);
  assert.equal(state.policy(keyOfPolicy(policy.build()))?.scope, "workloadSelector");
  assert.deepEqual(state.policiesOfNamespace(""), []);
});

const holders: readonly [name: string, first: Workload, second: Workload, winner: string][] = [
  [
    "a pod before a workload entry",
    pod.named("pod").build(),
    workload().named("vm").withUid("c/vm").at("10.0.0.1").build(),
    "pod",
  ],
  ["HBONE before plain", pod.named("mesh").build(), pod.named("plain").speaking("none").build(), "mesh"],
  ["the newest of equals", pod.named("old").build(), pod.named("new").build(), "new"],
  ["the healthy one before the newest", pod.named("old").build(), pod.named("new").unhealthy().build(), "old"],
];
for (const [name, first, second, winner] of holders) {
  test(`workloadByAddress() finds ${name}`, () => {
    const state = new MeshState();
    state.apply(workloads(first));
    state.apply(workloads(second));
    assert.equal(state.workloadByAddress("", ip("10.0.0.1"))?.name, winner);
    const loser = winner === first.name ? second : first;
    state.apply(removeAddresses(winner === first.name ? first.uid : second.uid));
    assert.equal(state.workloadByAddress("", ip("10.0.0.1"))?.name, loser.name);
  });
}

test("workloadByAddress() does not count an update of the old holder as newer", () => {
  const state = new MeshState();
  state.apply(workloads(pod.named("old").build(), pod.named("new").build()));
  state.apply(workloads(pod.named("old").onNode("n9").build()));
  assert.equal(state.workloadByAddress("", ip("10.0.0.1"))?.name, "new");
});

test("workloadByAddress() never finds host-network workloads, nor those of another network", () => {
  const state = new MeshState();
  state.apply(
    workloads(pod.named("host").with({ networkMode: "hostNetwork" }).build(), pod.named("far").inNetwork("n2").build()),
  );
  assert.equal(state.workloadByAddress("", ip("10.0.0.1")), undefined);
  assert.equal(state.workloadByAddress("n2", ip("10.0.0.1"))?.name, "far");
});

test("servicesByBlock() lists the longest block first, each service once", () => {
  const state = new MeshState();
  const blocks = (name: string, ...addresses: string[]) =>
    service()
      .named(name)
      .at(...addresses)
      .build();
  state.apply(
    services(
      blocks("wide", "10.0.0.0/8"),
      blocks("narrow", "10.1.2.0/23", "10.0.0.0/9"),
      blocks("v6", "fd00::/8"),
      blocks("all", "0.0.0.0/0"),
    ),
  );
  const found = (text: string) => state.servicesByBlock("", ip(text)).map(({ name }) => name);
  assert.deepEqual(found("10.1.3.9"), ["narrow", "wide", "all"]);
  assert.deepEqual(found("10.200.0.1"), ["wide", "all"]);
  assert.deepEqual(found("192.168.0.1"), ["all"]);
  assert.deepEqual(found("fd12::1"), ["v6"]);
  state.apply(removeAddresses("default/narrow.default.svc.cluster.local"));
  assert.deepEqual(found("10.1.3.9"), ["wide", "all"]);
});

test("a MeshUpdate means the same after it was sent to another thread", () => {
  const update: MeshUpdate = {
    ...workloads(pod.behind(gateway("a/b")).build()),
    ...policies(
      authorization()
        .rule({ sourceIps: ["10.0.0.0/8"] })
        .build(),
    ),
  };
  const [here, there] = [new MeshState(), new MeshState()];
  here.apply(update);
  there.apply(structuredClone(update));
  assert.deepEqual([...there.workloads()], [...here.workloads()]);
  assert.deepEqual([...there.policies()], [...here.policies()]);
});

test("snapshot() sent to another thread gives the same state there, the order of address holders included", () => {
  const [here, there] = [new MeshState(), new MeshState()];
  here.apply(workloads(pod.named("old").build(), pod.named("new").build()));
  here.apply(workloads(pod.named("old").onNode("n9").build()));
  here.apply({ ...services(web.build()), ...policies(authorization().named("p").build()) });
  there.apply(structuredClone(here.snapshot()));
  assert.deepEqual([there.workloads(), there.services(), there.policies()], [here.workloads(), here.services(), here.policies()]);
  assert.equal(there.workloadByAddress("", ip("10.0.0.1"))?.name, "new");
});

test("MeshState answers like plain lists after any generated history", () => {
  const seed = Number(process.env["DISCOVERY_SEED"] ?? Date.now() % 2 ** 31);
  const random = seededRandom(seed);
  const pick = <T>(values: readonly [T, ...T[]]): T => values[Math.floor(random() * values.length)] ?? values[0];
  const some = <T>(values: readonly T[]): T[] => values.filter(() => random() < 0.4);
  const ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "fd00::1"];
  const BLOCKS = ["10.0.0.0/24", "10.0.0.0/16", "fd00::/64", "n2@10.0.0.0/8", "0.0.0.0/0"];
  const NETWORKS = ["", "n2"] as const;
  const serviceKeys = ["a", "b", "c"].flatMap((name) =>
    ["x", "y"].map((ns) => keyOfService(service().named(name).inNamespace(ns).build())),
  );

  const state = new MeshState();
  const held = {
    workloads: new Map<string, Workload>(),
    services: new Map<string, Service>(),
    policies: new Map<string, Authorization>(),
  };
  for (let step = 0; step < 3000; step++) {
    const namespace = pick(["x", "y"]);
    const kind = pick(["workload", "service", "policy"]);
    const remove = random() < 0.3;
    if (kind === "workload") {
      let builder = workload()
        .named(pick(["p", "q", "r", "s"]))
        .inNamespace(namespace)
        .at(...some(ADDRESSES))
        .inNetwork(pick(NETWORKS));
      builder = builder
        .speaking(pick(["hbone", "none"]))
        .with({ hostname: pick(["", "h1", "h2"]), status: pick(["healthy", "unhealthy"]) });
      builder = builder.with({ networkMode: pick(["standard", "standard", "hostNetwork"]) });
      for (const key of some(serviceKeys)) builder = builder.serving(key, { 80: step });
      const value = builder.build();
      state.apply(remove ? removeAddresses(value.uid) : workloads(value));
      if (remove) held.workloads.delete(value.uid);
      else held.workloads.set(value.uid, value);
    } else if (kind === "service") {
      const builder = service()
        .named(pick(["a", "b", "c"]))
        .inNamespace(namespace)
        .onPorts({ 80: step });
      const value = builder.at(...some(ADDRESSES), ...some(BLOCKS)).build();
      state.apply(remove ? removeAddresses(keyOfService(value)) : services(value));
      if (remove) held.services.delete(keyOfService(value));
      else held.services.set(keyOfService(value), value);
    } else {
      const value = authorization()
        .named(pick(["p1", "p2", "p3"]))
        .inNamespace(namespace)
        .with({ scope: pick(["global", "namespace", "workloadSelector"]), dryRun: random() < 0.5 })
        .build();
      const removal = { authorizations: { upserts: [], removals: [keyOfPolicy(value)] } };
      state.apply(remove ? removal : policies(value));
      if (remove) held.policies.delete(keyOfPolicy(value));
      else held.policies.set(keyOfPolicy(value), value);
    }
    if (step % 10 !== 0) continue;
    const sorted = <T>(map: Map<string, T>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
    const contents = { services: sorted(held.services), policies: sorted(held.policies) };
    const naive = meshView({ ...contents, workloads: [...held.workloads.values()] });
    const byUid = meshView({ ...contents, workloads: sorted(held.workloads) });
    const where = `DISCOVERY_SEED=${seed}, step ${step}`;
    for (const network of NETWORKS) {
      for (const address of ADDRESSES.map(ip)) {
        assert.deepEqual(state.workloadByAddress(network, address), naive.workloadByAddress(network, address), where);
        assert.deepEqual(state.servicesByAddress(network, address), naive.servicesByAddress(network, address), where);
        assert.deepEqual(state.servicesByBlock(network, address), naive.servicesByBlock(network, address), where);
      }
    }
    for (const key of serviceKeys) assert.deepEqual(state.endpoints(key), byUid.endpoints(key), where);
    for (const ns of ["x", "y"]) {
      assert.deepEqual(state.policiesOfNamespace(ns), naive.policiesOfNamespace(ns), where);
      assert.deepEqual(
        state.servicesByHostname(`a.${ns}.svc.cluster.local`),
        naive.servicesByHostname(`a.${ns}.svc.cluster.local`),
        where,
      );
      for (const host of ["h1", "h2"])
        assert.deepEqual(state.workloadByHostname(ns, host), byUid.workloadByHostname(ns, host), where);
    }
    assert.deepEqual(state.globalPolicies(), naive.globalPolicies(), where);
  }
});

test("apply() takes one workload of a service with many endpoints without visiting the others", () => {
  const state = new MeshState();
  state.apply(services(web.build()));
  let visited = 0;
  const counting = (n: number): Workload => {
    const built = pod
      .named(`w${n}`)
      .at(`10.1.${n >> 8}.${n & 255}`)
      .build();
    return new Proxy(built, {
      get(target, property, receiver) {
        visited++;
        return Reflect.get(target, property, receiver);
      },
    });
  };
  for (let n = 0; n < 2000; n++) state.apply(workloads(counting(n)));
  visited = 0;
  state.apply(workloads(counting(5000)));
  const one = visited;
  assert.ok(one > 0 && one < 60, `${one} reads`);
  assert.equal(state.endpoints(KEY).length, 2001);
});
