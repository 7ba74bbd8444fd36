import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { DirectorySource, DirectoryWriter } from "@ambit/kube";
import { connectSeqpacket } from "@ambit/linux";
import { eventually } from "@ambit/testkit";
import { answerOn, call, createPodLab, NODE_IP, POD_IP, type PodLab } from "../testing/pod-lab.ts";
import { ScriptedProxy } from "../testing/scripted-proxy.ts";

const AGENT = fileURLToPath(new URL("main.ts", import.meta.url));
const PLUGIN = fileURLToPath(new URL("../plugin/main.ts", import.meta.url));
const AMBIENT = { "istio.io/dataplane-mode": "ambient" };
const POD = { kind: "Pod", namespace: "default", name: "a" };

/** Starts a program in the node's namespace; it is ended with the test. */
function startInNode(
  t: TestContext,
  lab: PodLab,
  program: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
) {
  const nsenter = [`--net=/proc/${process.pid}/fd/${lab.node.token.fd}`, process.execPath, program, ...args];
  const child = spawn("nsenter", nsenter, { env: { PATH: process.env["PATH"], ...env }, stdio: ["pipe", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (data) => {
    output.stdout += String(data);
  });
  child.stderr.on("data", (data) => {
    output.stderr += String(data);
  });
  t.after(() => child.kill("SIGKILL"));
  return { child, output };
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null) await once(child, "exit");
  return child.exitCode;
}

test("agent and plugin work as processes over a watched directory, and --cleanup leaves nothing", async (t) => {
  const lab = await createPodLab(t);
  const root = mkdtempSync(join(tmpdir(), "cni-main-"));
  t.after(() => rmSync(root, { recursive: true }));
  const [objects, run, netns] = ["objects", "run", "netns"].map((name) => join(root, name)) as [string, string, string];
  for (const directory of [objects, run, netns]) mkdirSync(directory);
  symlinkSync(lab.podPath, join(netns, "a"));
  const kube = new DirectoryWriter(objects);
  await kube.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "default", labels: AMBIENT } });
  await kube.apply({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "a", namespace: "default", uid: "uid-a" },
    spec: { nodeName: "n1", containers: [{ name: "c", image: "i" }] },
    status: { phase: "Pending" },
  });
  const source = new DirectorySource({ directory: objects });
  const watching = new AbortController();
  t.after(() => watching.abort());
  await source.start(watching.signal);
  const redirection = () => source.get("Pod", "default", "a")?.metadata.annotations["ambient.istio.io/redirection"];

  const agentEnv = {
    NODE_NAME: "n1",
    SOURCE_DIR: objects,
    CNI_AGENT_RUN_DIR: run,
    ZTUNNEL_UDS_ADDRESS: join(run, "ztunnel.sock"),
    NETNS_DIR: netns,
    PROC_DIR: join(root, "proc"),
  };
  const agent = startInNode(t, lab, AGENT, agentEnv);
  await eventually(() => agent.output.stdout.includes("Node agent is ready"), { timeoutMs: 20_000 });
  const proxy = new ScriptedProxy(await connectSeqpacket(join(run, "ztunnel.sock")));
  const serving = proxy.acknowledgeAll([]);
  t.after(async () => {
    proxy.channel.close();
    await serving.catch(() => {});
  });

  const prevResult = {
    cniVersion: "1.0.0",
    interfaces: [{ name: "eth0", sandbox: lab.podPath }],
    ips: [{ interface: 0, address: `${POD_IP[4]}/24` }],
  };
  const plugin = startInNode(t, lab, PLUGIN, {
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: "c1",
    CNI_NETNS: lab.podPath,
    CNI_IFNAME: "eth0",
    CNI_ARGS: "K8S_POD_NAMESPACE=default;K8S_POD_NAME=a;K8S_POD_UID=uid-a",
  });
  plugin.child.stdin.end(JSON.stringify({ cniVersion: "1.0.0", name: "n", cni_agent_run_dir: run, prevResult }));
  assert.equal(await exitCode(plugin.child), 0, plugin.output.stdout);
  assert.deepEqual(JSON.parse(plugin.output.stdout), prevResult);
  await eventually(() => redirection() === "enabled");
  await kube.patch(POD, { status: { phase: "Running", podIP: POD_IP[4], podIPs: [{ ip: POD_IP[4] }] } });

  answerOn(t, lab.pod, 15001, "outbound");
  answerOn(t, lab.node, 8080, "node");
  assert.match(await call(t, lab.pod, NODE_IP[4], 8080).nextLine(), /^outbound /);
  agent.child.kill("SIGTERM");
  assert.equal(await exitCode(agent.child), 0, agent.output.stderr);
  assert.match(await call(t, lab.pod, NODE_IP[4], 8080).nextLine(), /^outbound /);

  const cleanUp = startInNode(t, lab, AGENT, agentEnv, ["--cleanup"]);
  assert.equal(await exitCode(cleanUp.child), 0, cleanUp.output.stderr);
  assert.match(await call(t, lab.pod, NODE_IP[4], 8080).nextLine(), /^node /);
  await eventually(() => redirection() === undefined);
  assert.doesNotMatch((await lab.run("iptables-nft-save", [])).stdout, /ISTIO_/);
});

test("the agent refuses a configuration that it cannot honour, with exit code 64 and every violation", async (t) => {
  const lab = await createPodLab(t);
  const { child, output } = startInNode(t, lab, AGENT, { NATIVE_NFTABLES: "true" });
  assert.equal(await exitCode(child), 64);
  for (const name of ["NODE_NAME", "SOURCE_DIR", "NATIVE_NFTABLES"]) assert.match(output.stderr, new RegExp(name));
});
