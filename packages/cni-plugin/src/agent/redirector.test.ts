import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type PodUid, parseIp, silentLogger } from "@ambit/core";
import { createRuleRunner, type RuleRunner, runChecked, runCommand, type SavedTables } from "@ambit/linux";
import { answerOn, call, createPodLab, NODE_IP, POD_IP, type PodLab } from "../testing/pod-lab.ts";
import { HostProbes } from "./host-probes.ts";
import { DEFAULT_PROBE_SOURCES, type RedirectionSettings } from "./redirection.ts";
import { Redirector } from "./redirector.ts";

const settings: RedirectionSettings = { captureInbound: true, captureDns: true, virtualInterfaces: [] };
const options = { ipv6: true, probes: DEFAULT_PROBE_SOURCES };
const APP_PORT = 8080;
const BACKENDS = ["nft", "legacy"] as const;

interface Fixture extends PodLab {
  readonly runner: RuleRunner;
  readonly redirector: Redirector;
}

async function fixture(t: TestContext, force: "nft" | "legacy"): Promise<Fixture> {
  const lab = await createPodLab(t);
  const runner = await createRuleRunner(lab.run, { force, scopedLockFile: "/run/cni-test-xtables.lock" });
  return { ...lab, runner, redirector: new Redirector({ runner, run: lab.run, logger: silentLogger }, options) };
}

function startProxyAndApp(t: TestContext, lab: PodLab): void {
  answerOn(t, lab.pod, 15001, "outbound");
  answerOn(t, lab.pod, 15006, "inbound");
  answerOn(t, lab.pod, 15008, "hbone");
  answerOn(t, lab.pod, APP_PORT, "app");
  answerOn(t, lab.node, APP_PORT, "node");
}

/** What the namespace's tables hold; tables without rules and chains of their own say nothing. */
function contents(saved: SavedTables): string[] {
  return [...saved].flatMap(([table, chains]) =>
    [...chains].flatMap(([chain, { policy, rules }]) => [
      ...(policy === "-" ? [`${table} ${chain}`] : []),
      ...rules.map((rule) => `${table} ${chain} ${rule}`),
    ]),
  );
}

for (const backend of BACKENDS) {
  for (const family of [4, 6] as const) {
    test(`Redirector captures a pod's traffic and spares the proxy's own (${backend}, IPv${family})`, async (t) => {
      const lab = await fixture(t, backend);
      startProxyAndApp(t, lab);
      assert.equal(await lab.redirector.ensure(lab.pod, settings, "repair"), "applied");
      const [node, pod] = [NODE_IP[family], POD_IP[family]];
      assert.equal(await call(t, lab.pod, node, APP_PORT).nextLine(), `outbound ${node} ${APP_PORT} ${pod}`);
      assert.match(await call(t, lab.pod, node, APP_PORT, 1337).nextLine(), /^node /);
      assert.equal(await call(t, lab.node, pod, APP_PORT).nextLine(), `inbound ${pod} ${APP_PORT} ${node}`);
      assert.match(await call(t, lab.node, pod, 15008).nextLine(), /^hbone /);
      // The pod's own address and loopback are not captured.
      assert.match(await call(t, lab.pod, pod, APP_PORT).nextLine(), /^app /);
      assert.match(await call(t, lab.pod, family === 4 ? "127.0.0.1" : "::1", APP_PORT).nextLine(), /^app /);
    });

    test(`HostProbes lets the node's own connections reach the application (${backend}, IPv${family})`, async (t) => {
      const lab = await fixture(t, backend);
      startProxyAndApp(t, lab);
      await lab.redirector.ensure(lab.pod, settings, "repair");
      const probes = new HostProbes(lab, options);
      const ip = parseIp(POD_IP[family]);
      assert.ok(ip);
      const uid = "uid-1" as PodUid;
      assert.equal(await probes.ensure(), true);
      assert.equal(await probes.ensure(), false);
      await probes.allow(uid, [ip]);
      const source = family === 4 ? DEFAULT_PROBE_SOURCES.v4 : DEFAULT_PROBE_SOURCES.v6;
      const seen = (await call(t, lab.node, ip, APP_PORT).nextLine()).split(" ");
      assert.equal(seen[0], "app");
      assert.equal(parseIp(seen[3] ?? ""), parseIp(source));
      await probes.forbid("somebody-else" as PodUid, [ip]);
      assert.match(await call(t, lab.node, ip, APP_PORT).nextLine(), /^app /);
      await probes.forbid(uid, [ip]);
      assert.match(await call(t, lab.node, ip, APP_PORT).nextLine(), /^inbound /);
      await probes.remove();
      await probes.remove();
      assert.deepEqual(contents(await lab.runner.save(family, lab.node)), []);
    });
  }

  test(`Redirector.ensure() keeps the connections that the pod already has (${backend})`, async (t) => {
    const lab = await fixture(t, backend);
    startProxyAndApp(t, lab);
    const outbound = call(t, lab.pod, NODE_IP[4], APP_PORT);
    const inbound = call(t, lab.node, POD_IP[4], APP_PORT);
    assert.match(await outbound.nextLine(), /^node /);
    assert.match(await inbound.nextLine(), /^app /);
    await lab.redirector.ensure(lab.pod, settings, "repair");
    for (const caller of [outbound, inbound]) {
      caller.send("still here");
      assert.equal(await caller.nextLine(), "still here");
    }
    assert.match(await call(t, lab.pod, NODE_IP[4], APP_PORT).nextLine(), /^outbound /);
  });

  test(`Redirector.ensure() leaves plaintext to the application in ingress mode (${backend})`, async (t) => {
    const lab = await fixture(t, backend);
    startProxyAndApp(t, lab);
    await lab.redirector.ensure(lab.pod, { ...settings, captureInbound: false }, "repair");
    assert.match(await call(t, lab.node, POD_IP[4], APP_PORT).nextLine(), /^app /);
    assert.match(await call(t, lab.pod, NODE_IP[4], APP_PORT).nextLine(), /^outbound /);
  });

  test(`Redirector repairs what somebody changed and writes nothing when nothing is wrong (${backend})`, async (t) => {
    const { redirector, runner, pod } = await fixture(t, backend);
    await redirector.ensure(pod, settings, "repair");
    assert.equal(await redirector.ensure(pod, settings, "repair"), "unchanged");
    const intact = contents(await runner.save(4, pod));
    for (const damage of [
      "-F ISTIO_OUTPUT",
      "-D OUTPUT -j ISTIO_OUTPUT",
      "-I ISTIO_OUTPUT 1 -j ACCEPT",
      "-A OUTPUT -j ISTIO_OUTPUT",
      "-N ISTIO_INBOUND",
    ]) {
      await runner.restore(4, `*nat\n${damage}\nCOMMIT\n`, pod);
      const { residue, differences } = await redirector.inspect(pod, settings);
      assert.equal(residue, true);
      assert.notEqual(differences.length, 0, damage);
      assert.equal(await redirector.ensure(pod, settings, "repair"), "repaired");
      assert.deepEqual(contents(await runner.save(4, pod)), intact);
    }
    await runChecked(runCommand, "ip", ["rule", "del", "priority", "32764"], { netns: pod });
    assert.match((await redirector.inspect(pod, settings)).differences.join(), /rule .* is missing/);
    await redirector.ensure(pod, settings, "repair");
    assert.deepEqual((await redirector.inspect(pod, settings)).differences, []);
  });

  test(`Redirector.remove() leaves the namespace as it was, foreign rules included (${backend})`, async (t) => {
    const { redirector, runner, pod } = await fixture(t, backend);
    const foreign = "*nat\n:DOCKER - [0:0]\n-A OUTPUT -d 127.0.0.11/32 -j DOCKER\nCOMMIT\n";
    for (const family of [4] as const) await runner.restore(family, foreign, pod);
    const [before4, before6] = [contents(await runner.save(4, pod)), contents(await runner.save(6, pod))];
    await redirector.ensure(pod, settings, "repair");
    await redirector.remove(pod);
    await redirector.remove(pod);
    assert.deepEqual(contents(await runner.save(4, pod)), before4);
    assert.deepEqual(contents(await runner.save(6, pod)), before6);
    assert.doesNotMatch(await runChecked(runCommand, "ip", ["rule"], { netns: pod }), /0x111/);
    assert.equal((await runCommand("ip", ["route", "show", "table", "100"], { netns: pod })).stdout, "");
  });

  test(`Redirector leaves a pod closed when a repair fails half-way, and opens it with the next one (${backend})`, async (t) => {
    const lab = await fixture(t, backend);
    startProxyAndApp(t, lab);
    await lab.redirector.ensure(lab.pod, settings, "repair");
    await lab.runner.restore(4, "*nat\n-F ISTIO_OUTPUT\nCOMMIT\n", lab.pod);
    const failing: RuleRunner = {
      backend: lab.runner.backend,
      save: (family, netns) => lab.runner.save(family, netns),
      restore: async (family, text, netns) => {
        if (text.includes("REDIRECT")) throw new Error("no space left");
        await lab.runner.restore(family, text, netns);
      },
    };
    const broken = new Redirector({ ...lab, runner: failing, logger: silentLogger }, options);
    await assert.rejects(broken.ensure(lab.pod, settings, "repair"), {
      code: "CNI_REDIRECTION_FAILED",
      message: /no space left/,
    });
    assert.match(contents(await lab.runner.save(4, lab.pod)).join("\n"), /filter OUTPUT -j ISTIO_GUARD/);
    const held = call(t, lab.pod, NODE_IP[4], APP_PORT);
    assert.equal(await lab.redirector.ensure(lab.pod, settings, "repair"), "repaired");
    assert.doesNotMatch(contents(await lab.runner.save(4, lab.pod)).join("\n"), /GUARD/);
    // Its first packet was dropped, none got out in plaintext; the next try of the kernel is redirected.
    assert.match(await held.nextLine(), /^outbound /);
  });
}
