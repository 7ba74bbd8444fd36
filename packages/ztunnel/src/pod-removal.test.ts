// Pods that leave the mesh, and addresses that get new owners.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ADDRESS_TYPE_URL } from "@ambit/api";
import { authorization, eventually } from "@ambit/testkit";
import { connect, cutOf, echoOn, exchange, receive, twoPods, VIP, workloadOf } from "./testing/traffic.ts";

test("ztunnel ends the connections of a pod that leaves, and listens there no more", async (t) => {
  const { lab, client, server } = await twoPods(t);
  const other = await lab.addPod("other", 3);
  lab.controlPlane.setWorkload(workloadOf(other).build());
  await echoOn(t, server.netns, 8080);
  const ztunnel = await lab.startZtunnel();
  const [leaving, staying] = [client, other].map((pod) => connect(t, pod.netns, VIP, 80));
  assert.ok(leaving !== undefined && staying !== undefined);
  for (const socket of [leaving, staying]) {
    socket.write("before");
    assert.equal(String(await receive(socket)), "before");
  }
  const cut = cutOf(leaving);
  await lab.removePod("client");
  assert.equal(await cut, "ECONNRESET");
  await eventually(() =>
    ztunnel
      .accessLines()
      .some(
        (line) =>
          line.includes('direction="outbound"') && line.endsWith('error="connection closed: pod default/client has left"'),
      ),
  );
  await assert.rejects(exchange(connect(t, client.netns, VIP, 80), "x"), { code: "ECONNREFUSED" });
  staying.write("after");
  assert.equal(String(await receive(staying)), "after");
  const { workloadState } = await ztunnel.dump();
  assert.deepEqual(Object.keys(workloadState as object).sort(), ["uid-other", "uid-server"]);
});

test("ztunnel ends the connections to a pod that leaves", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  const ztunnel = await lab.startZtunnel();
  const open = connect(t, client.netns, VIP, 80);
  open.write("before");
  assert.equal(String(await receive(open)), "before");
  const cut = cutOf(open);
  await lab.removePod("server");
  assert.equal(await cut, "ECONNRESET");
  await eventually(() => ztunnel.accessLines().filter((line) => line.includes("connection complete")).length === 2);
});

test("ztunnel judges an address by the identity that has it now", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  lab.controlPlane.setPolicy(
    authorization()
      .named("only-client")
      .inNamespace("default")
      .allowing()
      .rule({ principals: ["cluster.local/ns/default/sa/client"] })
      .build(),
  );
  const ztunnel = await lab.startZtunnel();
  assert.equal(String(await exchange(connect(t, client.netns, VIP, 80), "mine")), "mine");
  await lab.removePod("client");
  lab.controlPlane.remove(ADDRESS_TYPE_URL, workloadOf(client).build().uid);
  await lab.deletePod("client");
  const heir = await lab.addPod("heir", 1);
  assert.equal(heir.ip, client.ip);
  lab.controlPlane.setWorkload(workloadOf(heir).build());
  await assert.rejects(exchange(connect(t, heir.netns, VIP, 80), "x"), { code: "ECONNRESET" });
  const line = await eventually(
    () => ztunnel.accessLines().find((each) => each.includes("error=") && each.includes('direction="inbound"')) ?? false,
  );
  assert.match(line, /src\.workload="heir" .*src\.identity="spiffe:\/\/cluster\.local\/ns\/default\/sa\/heir"/);
  assert.match(line, /policy rejection/);
});

test("ztunnel treats a pod that discovery does not know as nobody, also at the address of a known one", async (t) => {
  const { lab, client, server } = await twoPods(t);
  await echoOn(t, server.netns, 8080);
  lab.controlPlane.setPolicy(
    authorization()
      .named("only-client")
      .inNamespace("default")
      .allowing()
      .rule({ principals: ["cluster.local/ns/default/sa/client"] })
      .build(),
  );
  const ztunnel = await lab.startZtunnel();
  assert.equal(String(await exchange(connect(t, client.netns, VIP, 80), "mine")), "mine");
  await lab.removePod("client");
  await lab.deletePod("client");
  const heir = await lab.addPod("heir", 1);
  // Discovery has not heard of the change: the pod waits for its workload, and is nobody until then.
  const refused = cutOf(connect(t, heir.netns, VIP, 80));
  assert.equal(await refused, "ECONNRESET");
  await eventually(() => ztunnel.accessLines().some((line) => line.includes("unknown source: pod default/heir")));
});
