import assert from "node:assert/strict";
import test from "node:test";
import type { Workload } from "@ambit/core";
import { gateway, type ServiceBuilder, seededRandom, service, type WorkloadBuilder, workload } from "@ambit/testkit";
import { type BalanceRequest, chooseEndpoint, drawIndex, failoverRank, usableEndpoints } from "./balance.ts";
import type { Endpoint } from "./mesh-view.ts";

const source = workload().named("client").onNode("n1").inLocality("r1", "z1", "s1").build();
const web = () => service().named("web").onPorts({ 80: 8080 });
const endpoint = (builder: WorkloadBuilder, ports: Record<number, number> = {}): Endpoint => ({
  workload: builder.build(),
  ports: new Map(Object.entries(ports).map(([port, target]) => [Number(port), target])),
});
const request = (builder: ServiceBuilder, fields: Partial<BalanceRequest> = {}): BalanceRequest => ({
  service: builder.build(),
  servicePort: 80,
  source,
  mode: "standard",
  random: () => 0,
  ...fields,
});
const pod = (name: string) => workload().named(name).at("10.0.0.1");

const filters: readonly [name: string, endpoint: Endpoint, request: BalanceRequest, port: number | undefined][] = [
  ["uses the service's target port", endpoint(pod("a")), request(web()), 8080],
  ["prefers the endpoint's own port", endpoint(pod("a"), { 80: 9999 }), request(web()), 9999],
  ["takes 0 in the endpoint's map as not known", endpoint(pod("a"), { 80: 0 }), request(web()), 8080],
  ["needs the endpoint's own port when the port is named", endpoint(pod("a")), request(web().onPorts({ 80: 0 })), undefined],
  ["uses the endpoint's own port when the port is named", endpoint(pod("a"), { 80: 7 }), request(web().onPorts({ 80: 0 })), 7],
  ["refuses a port that the service lacks", endpoint(pod("a"), { 81: 81 }), request(web(), { servicePort: 81 }), undefined],
  ["leaves unhealthy endpoints out", endpoint(pod("a").unhealthy()), request(web()), undefined],
  [
    "keeps unhealthy endpoints when the service asks for it",
    endpoint(pod("a").unhealthy()),
    request(web().with({ loadBalancing: { mode: "unspecified", routingPreference: [], healthPolicy: "allowAll" } })),
    8080,
  ],
  ["leaves out what has no address", endpoint(workload()), request(web()), undefined],
  ["keeps what has a hostname", endpoint(workload().with({ hostname: "example.com" })), request(web()), 8080],
  [
    "keeps what has no address behind a gateway",
    endpoint(workload().inNetwork("n2", gateway("n2/1.1.1.1"))),
    request(web()),
    8080,
  ],
  ["leaves out another network without gateway and address", endpoint(workload().inNetwork("n2")), request(web()), undefined],
  ["ignores a gateway to the own network", endpoint(workload().inNetwork("", gateway("/1.1.1.1"))), request(web()), undefined],
  [
    "takes the application tunnel's port for a waypoint whose service lacks the port",
    endpoint(pod("a").with({ applicationTunnel: { protocol: "proxy", port: 15088 } })),
    request(web(), { servicePort: 15008, mode: "waypoint" }),
    15088,
  ],
  [
    "refuses a waypoint without port and tunnel",
    endpoint(pod("a")),
    request(web(), { servicePort: 15008, mode: "waypoint" }),
    undefined,
  ],
  [
    "does not take the application tunnel's port in standard mode",
    endpoint(pod("a").with({ applicationTunnel: { protocol: "proxy", port: 15088 } })),
    request(web(), { servicePort: 15008 }),
    undefined,
  ],
];

for (const [name, candidate, balanceRequest, port] of filters) {
  test(`usableEndpoints() ${name}`, () => {
    assert.equal(usableEndpoints([candidate], balanceRequest)[0]?.targetPort, port);
  });
}

const near = pod("near").onNode("n1").inLocality("r1", "z1", "s1");
const sameZone = pod("same-zone").onNode("n2").inLocality("r1", "z1", "s2");
const sameRegion = pod("same-region").onNode("n3").inLocality("r1", "z2", "s1");
const far = pod("far").onNode("n4").inLocality("r2", "z1", "s1");
const remote = pod("remote").onNode("n1").inLocality("r1", "z1", "s1").inNetwork("other", gateway("other/1.1.1.1"));

const modes: readonly [name: string, builder: ServiceBuilder, candidates: WorkloadBuilder[], kept: string[]][] = [
  ["unspecified keeps all", web().balanced("unspecified", "zone"), [near, far], ["near", "far"]],
  [
    "strict keeps only full matches",
    web().balanced("strict", "region", "zone"),
    [near, sameZone, sameRegion, far],
    ["near", "same-zone"],
  ],
  ["strict without a match has none", web().balanced("strict", "node"), [sameZone, far], []],
  ["strict without preferences keeps all", web().balanced("strict"), [near, far], ["near", "far"]],
  [
    "failover keeps the best rank",
    web().balanced("failover", "region", "zone", "subzone"),
    [sameRegion, sameZone, far],
    ["same-zone"],
  ],
  ["failover falls back", web().balanced("failover", "region", "zone"), [far], ["far"]],
  [
    "failover stops at the first miss",
    web().balanced("failover", "region", "zone", "subzone"),
    [far, sameRegion],
    ["same-region"],
  ],
  [
    "a later match after a miss does not count",
    web().balanced("failover", "node", "region"),
    [sameZone, far],
    ["same-zone", "far"],
  ],
  ["network first beats any remote match", web().balanced("failover", "network", "region", "zone"), [far, remote], ["far"]],
  [
    "network first still ranks remote ones",
    web().balanced("failover", "network", "node"),
    [remote, remote.named("remote")],
    ["remote", "remote"],
  ],
];

for (const [name, builder, candidates, kept] of modes) {
  test(`chooseEndpoint(): ${name}`, () => {
    const endpoints = candidates.map((candidate) => endpoint(candidate));
    const seen = new Set<string>();
    const random = seededRandom(1);
    for (let i = 0; i < 200; i++) {
      const choice = chooseEndpoint(endpoints, request(builder, { random }));
      if (choice !== undefined) seen.add(choice.workload.name);
    }
    assert.deepEqual([...seen].sort(), [...new Set(kept)].sort());
  });
}

test("failoverRank() counts on after a missed first NETWORK only", () => {
  const rank = (candidate: WorkloadBuilder, ...scopes: Parameters<typeof failoverRank>[0][number][]) =>
    failoverRank(scopes, source, candidate.build());
  assert.equal(rank(near, "network", "region", "zone"), 5);
  assert.equal(rank(far, "network", "region", "zone"), 3);
  assert.equal(rank(remote, "network", "region", "zone"), 2);
  assert.equal(rank(remote, "region", "network", "zone"), 1);
  assert.equal(rank(pod("x").with({ clusterId: "other" }), "cluster"), 0);
});

test("chooseEndpoint() draws in proportion to capacity and never where it is 0", () => {
  const endpoints = [0, 1, 3].map((capacity) => endpoint(pod(`c${capacity}`).with({ capacity })));
  const random = seededRandom(7);
  const counts = new Map<string, number>();
  for (let i = 0; i < 8000; i++) {
    const name = chooseEndpoint(endpoints, request(web(), { random }))?.workload.name ?? "none";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  assert.deepEqual([...counts.keys()].sort(), ["c1", "c3"]);
  assert.ok(Math.abs((counts.get("c3") ?? 0) - 6000) < 200);
});

test("chooseEndpoint() has nothing when every capacity is 0 or there are no endpoints", () => {
  assert.equal(chooseEndpoint([endpoint(pod("a").with({ capacity: 0 }))], request(web())), undefined);
  assert.equal(chooseEndpoint([], request(web().balanced("failover", "zone"))), undefined);
});

test("chooseEndpoint() brings an endpoint back when the service's health policy changes", () => {
  const endpoints = [endpoint(pod("a").unhealthy())];
  assert.equal(chooseEndpoint(endpoints, request(web())), undefined);
  const all = web().with({ loadBalancing: { mode: "unspecified", routingPreference: [], healthPolicy: "allowAll" } });
  assert.equal(chooseEndpoint(endpoints, request(all))?.workload.name, "a");
});

test("drawIndex() covers the ends of chance", () => {
  const weights = [0, 2, 0, 1, 0];
  const at = (value: number) =>
    drawIndex(
      weights,
      (weight) => weight,
      () => value,
    );
  assert.deepEqual([at(0), at(0.6), at(0.67), at(0.9999999999999999)], [1, 1, 3, 3]);
  assert.equal(
    drawIndex<Workload>(
      [],
      () => 1,
      () => 0,
    ),
    -1,
  );
});
