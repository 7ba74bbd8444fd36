import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type PodUid, silentLogger } from "@ambit/core";
import { connectSeqpacket, createRuleRunner, type RuleRunner } from "@ambit/linux";
import { loadConfig } from "@ambit/runtime";
import { eventually } from "@ambit/testkit";
import { request } from "undici";
import { createAgentClient } from "../plugin/agent-client.ts";
import { runPlugin } from "../plugin/main.ts";
import { FakeKube } from "../testing/fake-kube.ts";
import { answerOn, call, createPodLab, NODE_IP, POD_IP, type PodLab } from "../testing/pod-lab.ts";
import { ScriptedProxy, type SeenRequest } from "../testing/scripted-proxy.ts";
import { type App, type AppDeps, buildApp } from "./app.ts";
import { agentConfigSpec } from "./config.ts";

const AMBIENT = { "istio.io/dataplane-mode": "ambient" };
const REDIRECTION = "ambient.istio.io/redirection";

interface Fixture {
  readonly lab: PodLab;
  readonly kube: FakeKube;
  readonly runner: RuleRunner;
  readonly directory: string;
  /** A new agent, as after a restart. */
  agent(env?: Readonly<Record<string, string>>): { app: App; stop: () => Promise<void>; ready: () => Promise<unknown> };
  /** A proxy that acknowledges everything. */
  proxy(): Promise<SeenRequest[]>;
}

async function fixture(t: TestContext): Promise<Fixture> {
  const lab = await createPodLab(t);
  const directory = mkdtempSync(join(tmpdir(), "cni-agent-"));
  mkdirSync(join(directory, "netns"));
  symlinkSync(lab.podPath, join(directory, "netns/pod"));
  const kube = new FakeKube();
  kube.setNamespace("default");
  const runner = await createRuleRunner(lab.run);
  const deps: AppDeps = { source: kube, writer: kube, runner, run: lab.run, logger: silentLogger };
  const stops: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const stop of stops) await stop();
    rmSync(directory, { recursive: true });
  });
  return {
    lab,
    kube,
    runner,
    directory,
    agent(env = {}) {
      const config = loadConfig(agentConfigSpec, {
        NODE_NAME: "n1",
        SOURCE_DIR: "unused",
        CNI_AGENT_RUN_DIR: directory,
        ZTUNNEL_UDS_ADDRESS: join(directory, "ztunnel.sock"),
        NETNS_DIR: join(directory, "netns"),
        PROC_DIR: join(directory, "no-processes"),
        MONITORING_PORT: "0",
        AMBIT_CNI_HEALTH_PORT: "0",
        AMBIT_DRIFT_CHECK_INTERVAL: "100ms",
        ...env,
      });
      const app = buildApp(config, deps);
      const abort = new AbortController();
      const running = app.run(abort.signal);
      const stop = async () => {
        abort.abort();
        await running;
      };
      stops.push(stop);
      const ready = () =>
        eventually(async () => (await request(`http://127.0.0.1:${app.ports.health}/readyz`)).statusCode === 200);
      return { app, stop, ready };
    },
    async proxy() {
      const proxy = new ScriptedProxy(await connectSeqpacket(join(directory, "ztunnel.sock")));
      const seen: SeenRequest[] = [];
      const done = proxy.acknowledgeAll(seen);
      stops.unshift(async () => {
        proxy.channel.close();
        await done.catch(() => {});
      });
      return seen;
    },
  };
}

test("the agent enrols by label, survives its own restart, repairs drift, and cleans up when told", async (t) => {
  const { lab, kube, runner, agent, proxy, directory } = await fixture(t);
  answerOn(t, lab.pod, 15001, "outbound");
  answerOn(t, lab.node, 8080, "node");
  kube.setPod({ name: "a", ip: POD_IP[4] });

  const first = agent();
  await first.ready();
  const seen = await proxy();
  await eventually(() => seen.some(({ kind }) => kind === "snapshotSent"));
  assert.match(await call(t, lab.pod, NODE_IP[4], 8080).nextLine(), /^node /);
  kube.setNamespace("default", AMBIENT);
  await eventually(() => kube.annotationsOf("a")[REDIRECTION] === "enabled");
  assert.deepEqual(seen.at(-1), {
    kind: "add",
    uid: "uid-a",
    info: { name: "a", namespace: "default", serviceAccount: "sa-a" },
    netnsId: lab.pod.id,
  });
  assert.match(await call(t, lab.pod, NODE_IP[4], 8080).nextLine(), /^outbound /);

  // Somebody damages the rules of a running pod.
  await runner.restore(4, "*nat\n-F ISTIO_OUTPUT\nCOMMIT\n", lab.pod);
  await eventually(async () => /^outbound/.test(await call(t, lab.pod, NODE_IP[4], 8080).nextLine()));
  const metrics = await (await request(`http://127.0.0.1:${first.app.ports.metrics}/metrics`)).body.text();
  assert.match(metrics, /^ztunnel_connected 1$/m);
  assert.match(metrics, /^ambit_cni_redirection_drift_total\{outcome="repaired"\} [1-9]/m);
  assert.match(metrics, /^ambit_cni_pods_enrolled 1$/m);

  // Stopped: rules stay, so that nothing goes out in plaintext.
  await first.stop();
  assert.match(await call(t, lab.pod, NODE_IP[4], 8080).nextLine(), /^outbound /);
  await runner.restore(4, "*nat\n-D OUTPUT -j ISTIO_OUTPUT\nCOMMIT\n", lab.pod);

  // Started again: repaired before it is ready, and a proxy that comes back hears of the pod in its snapshot.
  const second = agent({ AMBIT_DRIFT_CHECK_INTERVAL: "1h" });
  await second.ready();
  assert.match(await call(t, lab.pod, NODE_IP[4], 8080).nextLine(), /^outbound /);
  const again = await proxy();
  await eventually(() => again.length === 2);
  assert.deepEqual(
    again.map(({ kind, netnsId }) => [kind, netnsId]),
    [
      ["add", lab.pod.id],
      ["snapshotSent", undefined],
    ],
  );
  await second.stop();

  const config = { AMBIT_CNI_CLEANUP: "true" };
  const last = agent(config);
  await last.ready();
  await last.stop();
  assert.equal(kube.annotationsOf("a")[REDIRECTION], undefined);
  assert.match(await call(t, lab.pod, NODE_IP[4], 8080).nextLine(), /^node /);
  assert.doesNotMatch((await lab.run("iptables-nft-save", [])).stdout, /ISTIO_/);
  assert.equal((await lab.run("ipset", ["list", "-n"])).stdout, "");
  assert.ok(directory);
});

test("a container runtime's ADD, CHECK and DEL go through plugin, agent and proxy", async (t) => {
  const { lab, kube, agent, proxy, directory } = await fixture(t);
  answerOn(t, lab.pod, 15001, "outbound");
  kube.setNamespace("default", AMBIENT);
  kube.setPod({ name: "t1", uid: "4ada1bdc", phase: "Pending" });
  const { ready } = agent();
  await ready();

  const plugin = async (command: string, extra: Readonly<Record<string, string>> = {}) => {
    const env: Readonly<Record<string, string>> = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: "c1",
      CNI_NETNS: lab.podPath,
      CNI_IFNAME: "eth0",
      CNI_ARGS: "K8S_POD_NAMESPACE=default;K8S_POD_NAME=t1;K8S_POD_UID=4ada1bdc;IgnoreUnknown=1",
      ...extra,
    };
    const prevResult = {
      cniVersion: "1.0.0",
      interfaces: [{ name: "eth0", sandbox: lab.podPath }],
      ips: [{ interface: 0, address: `${POD_IP[4]}/24`, gateway: NODE_IP[4] }],
    };
    let stdout = "";
    const exitCode = await runPlugin({
      getenv: (name) => env[name],
      stdin: JSON.stringify({ cniVersion: "1.0.0", name: "n", cni_agent_run_dir: directory, prevResult }),
      writeStdout: (text) => {
        stdout += text;
      },
      writeStderr: () => {},
      connectAgent: createAgentClient,
    });
    return { exitCode, stdout };
  };

  // No proxy yet: the pod may not start.
  const early = await plugin("ADD");
  assert.equal(early.exitCode, 1);
  assert.equal(JSON.parse(early.stdout).code, 11);
  assert.match(JSON.parse(early.stdout).msg, /No node proxy took pod default\/t1: none is connected/);

  const seen = await proxy();
  await eventually(() => seen.length === 1);
  const added = await plugin("ADD");
  assert.equal(added.exitCode, 0);
  assert.deepEqual(JSON.parse(added.stdout).ips, [{ interface: 0, address: `${POD_IP[4]}/24`, gateway: NODE_IP[4] }]);
  assert.match(await call(t, lab.pod, NODE_IP[4], 8080).nextLine(), /^outbound /);
  await eventually(() => kube.annotationsOf("t1")[REDIRECTION] === "enabled");
  assert.equal((await plugin("CHECK")).exitCode, 0);

  for (let i = 0; i < 3; i++) assert.equal((await plugin("DEL", { CNI_NETNS: i === 0 ? lab.podPath : "" })).exitCode, 0);
  await eventually(() => seen.at(-1)?.kind === "del");
  assert.deepEqual(
    seen.filter(({ kind }) => kind === "del").map((request) => "uid" in request && request.uid),
    ["4ada1bdc" as PodUid],
  );
});
