// DNS of a pod as applications meet it: names of the mesh, names of others, and clients that make mistakes.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { eventually, service, workload } from "@ambit/testkit";
import { answerWith, ask, askTcp, askUdp, nameserverOn, readMessage } from "../testing/dns.ts";
import { connect, twoPods, VIP, VIP6 } from "../testing/traffic.ts";
import { withLength } from "./length-prefixed.ts";
import { encodeQuery, RCODE, TYPE } from "./message.ts";

const WEB = "web.default.svc.cluster.local";

async function podWithDns(t: TestContext) {
  const { lab, client } = await twoPods(t);
  const nameserver = await lab.addPod("nameserver", 53, { meshed: false });
  return { lab, client, nameserver };
}

test("DNS answers a service's addresses of the family that was asked for", async (t) => {
  const { lab, client } = await podWithDns(t);
  const ztunnel = await lab.startZtunnel();
  const a = await ask(t, client.netns, WEB, TYPE.A);
  assert.deepEqual(a, {
    id: 0x1234,
    rcode: RCODE.noError,
    isAuthoritative: true,
    isTruncated: false,
    answers: [{ name: WEB, type: TYPE.A, ttl: 30, data: VIP }],
    ednsBytes: undefined,
  });
  const aaaa = await ask(t, client.netns, WEB, TYPE.AAAA);
  assert.deepEqual(aaaa.answers, [{ name: WEB, type: TYPE.AAAA, ttl: 30, data: VIP6 }]);
  const overTcp = readMessage(await askTcp(t, client.netns, encodeQuery(7, WEB, TYPE.A)));
  assert.deepEqual([overTcp.id, overTcp.answers], [7, a.answers]);
  await eventually(async () =>
    /istio_dns_requests_total\{request_query_type="A",request_protocol="udp",source_canonical_service="client",source_canonical_revision="latest"\} 1\n/.test(
      await ztunnel.metrics(),
    ),
  );
  await eventually(() =>
    ztunnel
      .log()
      .includes(
        `\tdebug\tdns\tdns request\tsrc.workload="client" src.namespace="default" query="A" domain="${WEB}" result="success"`,
      ),
  );
});

test("DNS answers short names, and names with a search domain by an alias to the real name", async (t) => {
  const { lab, client } = await podWithDns(t);
  lab.controlPlane.setService(service().named("api").withHostname("api.example.com").at("10.96.0.60").build());
  await lab.startZtunnel();
  for (const name of ["web", "web.default", "web.default.svc", "WEB.Default.svc.cluster.local"]) {
    assert.deepEqual((await ask(t, client.netns, name, TYPE.A)).answers, [{ name, type: TYPE.A, ttl: 30, data: VIP }]);
  }
  const name = "api.example.com.default.svc.cluster.local";
  assert.deepEqual((await ask(t, client.netns, name, TYPE.A)).answers, [
    { name, type: TYPE.CNAME, ttl: 30, data: "api.example.com" },
    { name: "api.example.com", type: TYPE.A, ttl: 30, data: "10.96.0.60" },
  ]);
});

test("DNS answers a headless service with its endpoints, and a wildcard for every name below it", async (t) => {
  const { lab, client } = await podWithDns(t);
  const headless = (name: string, ...addresses: string[]) =>
    workload()
      .named(name)
      .at(...addresses)
      .serving("default/db.default.svc.cluster.local", { 5432: 5432 });
  lab.controlPlane.setService(
    service().named("db").onPorts({ 5432: 5432 }).build(),
    service().named("wild").withHostname("*.example.com").at("10.96.0.70").build(),
  );
  lab.controlPlane.setWorkload(
    headless("db-0", "10.79.0.20", "fd79::20").build(),
    headless("db-1", "10.79.0.21").build(),
    headless("db-2", "10.79.0.22").unhealthy().build(),
  );
  await lab.startZtunnel();
  const data = async (name: string, type: number) =>
    (await ask(t, client.netns, name, type)).answers.map((each) => each.data).sort();
  assert.deepEqual(await data("db.default.svc.cluster.local", TYPE.A), ["10.79.0.20", "10.79.0.21"]);
  assert.deepEqual(await data("db.default.svc.cluster.local", TYPE.AAAA), ["fd79::20"]);
  assert.deepEqual(await data("a.example.com", TYPE.A), ["10.96.0.70"]);
  assert.deepEqual(await data("a.b.example.com", TYPE.A), ["10.96.0.70"]);
});

test("DNS says that a known name has no address of a family, without asking anybody", async (t) => {
  const { lab, client, nameserver } = await podWithDns(t);
  let asked = 0;
  await nameserverOn(t, nameserver.netns, (query) => {
    asked++;
    return answerWith(query, RCODE.nameError, []);
  });
  lab.controlPlane.setService(service().named("four").at("10.96.0.80").build());
  await lab.startZtunnel();
  const { rcode, answers, isAuthoritative } = await ask(t, client.netns, "four.default.svc.cluster.local", TYPE.AAAA);
  assert.deepEqual([rcode, answers, isAuthoritative, asked], [RCODE.noError, [], true, 0]);
});

test("DNS passes what the mesh does not know to the nameserver and its answer back as it is", async (t) => {
  const { lab, client, nameserver } = await podWithDns(t);
  const many = Array.from({ length: 60 }, (_, i) => `203.0.113.${i}`);
  const asked: string[] = [];
  await nameserverOn(t, nameserver.netns, (query, protocol) => {
    const isBig = query.includes("big");
    asked.push(protocol);
    if (query.includes("missing")) return answerWith(query, RCODE.nameError, []);
    if (isBig) return protocol === "udp" ? answerWith(query, 0x0200, []) : answerWith(query, 0, many);
    return answerWith(query, 0, ["203.0.113.1"]);
  });
  const ztunnel = await lab.startZtunnel();
  const found = await ask(t, client.netns, "www.example.org", TYPE.A);
  assert.deepEqual([found.id, found.rcode, found.isAuthoritative], [0x1234, RCODE.noError, false]);
  assert.deepEqual(
    found.answers.map((each) => each.data),
    ["203.0.113.1"],
  );
  assert.equal((await ask(t, client.netns, "missing.example.org", TYPE.A)).rcode, RCODE.nameError);
  assert.equal((await ask(t, client.netns, "big.example.org", TYPE.A)).isTruncated, true);
  const whole = readMessage(await askTcp(t, client.netns, encodeQuery(9, "big.example.org", TYPE.A)));
  assert.deepEqual([whole.id, whole.answers.length], [9, 60]);
  // Other types are not the mesh's business, also of names that it knows.
  assert.equal((await ask(t, client.netns, WEB, 16)).rcode, RCODE.noError);
  assert.deepEqual(asked, ["udp", "udp", "udp", "tcp", "udp"]);
  await eventually(async () =>
    /istio_dns_upstream_requests_total\{.*request_protocol="tcp".*\} 1\n/.test(await ztunnel.metrics()),
  );
});

test("DNS says SERVFAIL when no nameserver answers, and counts it", async (t) => {
  const { lab, client, nameserver } = await podWithDns(t);
  await nameserverOn(t, nameserver.netns, () => undefined);
  const ztunnel = await lab.startZtunnel();
  assert.equal((await ask(t, client.netns, "www.example.org", TYPE.A)).rcode, RCODE.serverFailure);
  const overTcp = readMessage(await askTcp(t, client.netns, encodeQuery(9, "www.example.org", TYPE.A)));
  assert.equal(overTcp.rcode, RCODE.serverFailure);
  await eventually(async () =>
    /istio_dns_upstream_failures_total\{.*request_protocol="udp".*\} 1\n/.test(await ztunnel.metrics()),
  );
});

test("DNS truncates over UDP to what the client takes, and keeps everything over TCP", async (t) => {
  const { lab, client } = await podWithDns(t);
  const addresses = Array.from({ length: 60 }, (_, i) => `10.97.0.${i + 1}`);
  lab.controlPlane.setService(
    service()
      .named("wide")
      .at(...addresses)
      .build(),
  );
  await lab.startZtunnel();
  const query = encodeQuery(1, "wide.default.svc.cluster.local", TYPE.A);
  const small = await askUdp(t, client.netns, query);
  assert.ok(small.length <= 512);
  assert.equal(readMessage(small).isTruncated, true);
  const opt = Buffer.from([0, 0, TYPE.OPT, 4096 >> 8, 4096 & 0xff, 0, 0, 0, 0, 0, 0]);
  const withEdns = Buffer.concat([query, opt]);
  withEdns.writeUInt16BE(1, 10);
  const bigger = await askUdp(t, client.netns, withEdns);
  assert.ok(bigger.length > 1000 && bigger.length <= 1232);
  assert.deepEqual([readMessage(bigger).isTruncated, readMessage(bigger).ednsBytes], [false, 1232]);
  const whole = readMessage(await askTcp(t, client.netns, query));
  assert.deepEqual([whole.isTruncated, whole.answers.length], [false, 60]);
});

test("DNS survives malformed questions and goes on answering", async (t) => {
  const { lab, client } = await podWithDns(t);
  const ztunnel = await lab.startZtunnel();
  const query = Buffer.from(encodeQuery(1, WEB, TYPE.A));
  const response = Buffer.from(query);
  response[2] = 0x80;
  assert.equal(readMessage(await askUdp(t, client.netns, response)).rcode, RCODE.formatError);
  const update = Buffer.from(query);
  update[2] = 5 << 3;
  assert.equal(readMessage(await askUdp(t, client.netns, update)).rcode, RCODE.unsupported);
  assert.equal(readMessage(await askUdp(t, client.netns, query.subarray(0, 20))).rcode, RCODE.formatError);
  const garbage = connect(t, client.netns, "10.96.0.10", 53);
  for (let i = 0; i < 50; i++) garbage.write(withLength(randomBytes(40)));
  garbage.resume();
  // A client that ends after its question still gets the answer.
  const halfClosed = connect(t, client.netns, "10.96.0.10", 53);
  const chunks: Buffer[] = [];
  halfClosed.on("data", (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise((resolve) => halfClosed.on("end", resolve));
  halfClosed.end(withLength(query));
  await ended;
  assert.equal(readMessage(Buffer.concat(chunks).subarray(2)).answers[0]?.data, VIP);
  assert.equal((await ask(t, client.netns, WEB, TYPE.A)).answers[0]?.data, VIP);
  assert.match(await ztunnel.metrics(), /\nambit_worker_restarts 0\n/);
});
