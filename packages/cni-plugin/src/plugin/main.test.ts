import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { MeshError } from "@ambit/core";
import { type AgentAnswer, type AgentClient, createAgentClient } from "./agent-client.ts";
import { type PluginWorld, runPlugin } from "./main.ts";

// What containerd 1.6 sends for a pod behind the bridge plugin: keys sorted, on one line, our own keys among them.
const PREV_RESULT =
  '{"cniVersion":"1.0.0","interfaces":[{"name":"cni0","mac":"82:e4:b3:ad:c0:94"},{"name":"veth618c0c8d","mac":"8e:a7:ea:01:6f:85"},{"name":"eth0","mac":"c6:de:19:da:0e:e0","sandbox":"/var/run/netns/cni-493455c5-16c6-5d43-75c9-f8e6e7fe4209"}],"ips":[{"interface":2,"address":"10.244.1.3/24","gateway":"10.244.1.1"}],"routes":[{"dst":"0.0.0.0/0"}],"dns":{}}';
const CONFIG = `{"cniVersion":"1.0.0","cni_agent_run_dir":"/run/x","exclude_namespaces":["kube-system"],"name":"kbr","pod_namespace":"ambit-system","prevResult":${PREV_RESULT},"type":"ambit-cni"}`;
const CONTAINER_ID = "989aabb2".repeat(8);
const ENV: Readonly<Record<string, string>> = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: CONTAINER_ID,
  CNI_IFNAME: "eth0",
  CNI_PATH: "/opt/cni/bin",
  CNI_NETNS: "/var/run/netns/cni-493455c5-16c6-5d43-75c9-f8e6e7fe4209",
  CNI_ARGS: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=t1;K8S_POD_INFRA_CONTAINER_ID=${CONTAINER_ID};K8S_POD_UID=4ada1bdc-b660-4a37-b3d6-f1c0b65cde88;IgnoreUnknown=1`,
};

interface Call {
  readonly path: string;
  readonly body: unknown;
}

/** Runs the plugin against an agent that gives `answer`, or that is not there. */
async function plugin(
  stdin: string,
  env: Readonly<Record<string, string | undefined>>,
  answer: AgentAnswer | "absent" = { status: 200, body: "{}" },
) {
  const calls: Call[] = [];
  const output = { stdout: "", stderr: "" };
  const agent: AgentClient = {
    post: async (path, body) => {
      calls.push({ path, body });
      if (answer === "absent") throw new MeshError("CNI_PLUGIN_AGENT_UNAVAILABLE", "The node agent did not answer");
      return answer;
    },
  };
  const world: PluginWorld = {
    getenv: (name) => env[name],
    stdin,
    writeStdout: (text) => {
      output.stdout += text;
    },
    writeStderr: (text) => {
      output.stderr += text;
    },
    connectAgent: () => agent,
  };
  const exitCode = await runPlugin(world);
  return { exitCode, calls, ...output };
}

test("runPlugin() hands ADD to the agent and prints the previous result unchanged", async () => {
  const { exitCode, stdout, calls } = await plugin(CONFIG, ENV);
  assert.equal(exitCode, 0);
  assert.equal(stdout, `${PREV_RESULT}\n`);
  assert.deepEqual(calls, [
    {
      path: "/cmdadd",
      body: {
        Netns: "/var/run/netns/cni-493455c5-16c6-5d43-75c9-f8e6e7fe4209",
        PodName: "t1",
        PodNamespace: "default",
        PodUID: "4ada1bdc-b660-4a37-b3d6-f1c0b65cde88",
        ContainerID: CONTAINER_ID,
        IPs: [{ Interface: 2, Address: { IP: "10.244.1.3", Mask: "////AA==" }, Gateway: "10.244.1.1" }],
      },
    },
  ]);
});

test("runPlugin() finds the pod's address by its sandbox when the interface list is shorter", async () => {
  const prevResult = {
    interfaces: [{ name: "veth0" }, { name: "eth0", sandbox: "/x" }],
    ips: [
      { interface: 0, address: "10.244.1.1/32" },
      { interface: 1, address: "fd00:10::3/64" },
    ],
  };
  const { calls } = await plugin(JSON.stringify({ cniVersion: "0.3.1", prevResult }), ENV);
  const [call] = calls;
  assert.ok(call);
  assert.deepEqual((call.body as { IPs: unknown }).IPs, [
    { Interface: 1, Address: { IP: "fd00:10::3", Mask: "//////////8AAAAAAAAAAA==" }, Gateway: "" },
  ]);
});

test("runPlugin() fails ADD with code 11 when no agent answers, so that the pod does not start unprotected", async () => {
  const { exitCode, stdout } = await plugin(CONFIG, ENV, "absent");
  assert.equal(exitCode, 1);
  const error = JSON.parse(stdout);
  assert.equal(error.code, 11);
  assert.equal(error.cniVersion, "1.0.0");
  assert.match(error.msg, /did not answer/);
});

test("runPlugin() fails ADD with the agent's reason when the agent refuses", async () => {
  const { exitCode, stdout } = await plugin(CONFIG, ENV, { status: 500, body: '{"error":"no node proxy is connected"}' });
  assert.equal(exitCode, 1);
  assert.match(JSON.parse(stdout).msg, /Pod default\/t1 failed at the node agent: no node proxy is connected/);
});

for (const [what, args] of [
  ["the node agent itself", "K8S_POD_NAMESPACE=ambit-system;K8S_POD_NAME=ambit-cni-x7k2p"],
  ["a pod of an excluded namespace", "K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=coredns-1"],
  ["a container that is no Kubernetes pod", "IgnoreUnknown=1"],
] as const) {
  test(`runPlugin() lets ${what} through without asking`, async () => {
    const { exitCode, stdout, calls } = await plugin(CONFIG, { ...ENV, CNI_ARGS: args }, "absent");
    assert.deepEqual([exitCode, stdout, calls.length], [0, `${PREV_RESULT}\n`, 0]);
  });
}

test("runPlugin() does not let a pod through that only borrows the agent's name", async () => {
  const args = "K8S_POD_NAMESPACE=default;K8S_POD_NAME=ambit-cni-x7k2p";
  assert.equal((await plugin(CONFIG, { ...ENV, CNI_ARGS: args }, "absent")).exitCode, 1);
});

test("runPlugin() prints an empty result for ADD without a previous one", async () => {
  const { stdout } = await plugin('{"cniVersion":"1.0.0","name":"n"}', ENV);
  assert.deepEqual(JSON.parse(stdout), { cniVersion: "1.0.0" });
});

test("runPlugin() serves the late DEL without namespace and previous result, keyed by the container", async () => {
  const { exitCode, stdout, calls } = await plugin('{"cniVersion":"1.0.0","name":"n"}', {
    ...ENV,
    CNI_COMMAND: "DEL",
    CNI_NETNS: "",
  });
  assert.deepEqual([exitCode, stdout], [0, ""]);
  assert.equal(calls[0]?.path, "/cmddel");
  assert.deepEqual(
    calls.map((call) => (call.body as { ContainerID: string }).ContainerID),
    [CONTAINER_ID],
  );
});

test("runPlugin() succeeds with DEL when no agent answers", async () => {
  assert.equal((await plugin(CONFIG, { ...ENV, CNI_COMMAND: "DEL" }, "absent")).exitCode, 0);
});

test("runPlugin() reports drift that CHECK finds, and demands what CHECK needs", async () => {
  const drifted = await plugin(
    CONFIG,
    { ...ENV, CNI_COMMAND: "CHECK" },
    { status: 500, body: '{"error":"nat ISTIO_OUTPUT is missing"}' },
  );
  assert.equal(JSON.parse(drifted.stdout).code, 100);
  assert.match(JSON.parse(drifted.stdout).msg, /nat ISTIO_OUTPUT is missing/);
  assert.equal((await plugin(CONFIG, { ...ENV, CNI_COMMAND: "CHECK" })).exitCode, 0);
  const without = await plugin('{"cniVersion":"1.0.0","name":"n"}', { ...ENV, CNI_COMMAND: "CHECK" });
  assert.equal(JSON.parse(without.stdout).code, 7);
});

test("runPlugin() answers STATUS with code 50 while the agent is away or not ready", async () => {
  const config = '{"cniVersion":"1.1.0","name":"n"}';
  assert.equal((await plugin(config, { CNI_COMMAND: "STATUS" })).exitCode, 0);
  assert.equal(JSON.parse((await plugin(config, { CNI_COMMAND: "STATUS" }, "absent")).stdout).code, 50);
  assert.equal(JSON.parse((await plugin(config, { CNI_COMMAND: "STATUS" }, { status: 503, body: "starting" })).stdout).code, 50);
});

test("runPlugin() hands GC the attachments that are still valid and refuses to guess them", async () => {
  const config = '{"cniVersion":"1.1.0","name":"n","cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"}]}';
  const { calls } = await plugin(config, { CNI_COMMAND: "GC" });
  assert.deepEqual(calls, [{ path: "/cmdgc", body: { ValidContainerIDs: ["a"] } }]);
  assert.equal(JSON.parse((await plugin('{"cniVersion":"1.1.0"}', { CNI_COMMAND: "GC" })).stdout).code, 7);
});

test("runPlugin() answers VERSION with what it speaks, whatever it is asked", async () => {
  for (const stdin of ['{"cniVersion":"1.0.0"}', '{"cniVersion":"9.9.9"}', ""]) {
    const { exitCode, stdout } = await plugin(stdin, { CNI_COMMAND: "VERSION" });
    assert.equal(exitCode, 0);
    assert.deepEqual(JSON.parse(stdout).supportedVersions, ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
  }
});

for (const [what, stdin, env, code] of [
  ["an unknown command", CONFIG, { ...ENV, CNI_COMMAND: "FROB" }, 4],
  ["a missing container id", CONFIG, { ...ENV, CNI_CONTAINERID: "" }, 4],
  ["a missing namespace at ADD", CONFIG, { ...ENV, CNI_NETNS: "" }, 4],
  ["malformed arguments", CONFIG, { ...ENV, CNI_ARGS: "K8S_POD_NAME" }, 4],
  ["input that is not JSON", "{", ENV, 6],
  ["a key of the wrong type", '{"cniVersion":"1.0.0","exclude_namespaces":"kube-system"}', ENV, 7],
  ["a previous result of the wrong shape", '{"cniVersion":"1.0.0","prevResult":{"ips":"x"}}', ENV, 7],
  ["a version we do not speak", '{"cniVersion":"0.2.0"}', ENV, 1],
  ["a command newer than the version", '{"cniVersion":"1.0.0"}', { CNI_COMMAND: "GC" }, 1],
] as const) {
  test(`runPlugin() answers ${what} with code ${code}`, async () => {
    const { exitCode, stdout, calls } = await plugin(stdin, env);
    assert.equal(exitCode, 1);
    assert.equal(JSON.parse(stdout).code, code);
    assert.equal(calls.length, 0);
  });
}

async function agentSocket(t: TestContext, listener: Parameters<typeof createServer>[1]): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "cni-plugin-"));
  const server = createServer(listener ?? (() => {}));
  await new Promise<void>((resolve) => server.listen(join(directory, "pluginevent.sock"), resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true });
  });
  return directory;
}

test("AgentClient.post() carries body and answer over the socket", async (t) => {
  const directory = await agentSocket(t, (request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += String(chunk);
    });
    request.on("end", () => response.writeHead(503).end(`${request.method} ${request.url} ${body}`));
  });
  const answer = await createAgentClient(directory).post("/cmdadd", { a: 1 });
  assert.deepEqual(answer, { status: 503, body: 'POST /cmdadd {"a":1}' });
});

test("AgentClient.post() gives up on an agent that does not answer, and on one that is not there", async (t) => {
  const directory = await agentSocket(t, () => {});
  await assert.rejects(createAgentClient(directory, 50).post("/cmdadd", {}), { code: "CNI_PLUGIN_AGENT_UNAVAILABLE" });
  await assert.rejects(createAgentClient(join(directory, "none")).post("/cmdadd", {}), { code: "CNI_PLUGIN_AGENT_UNAVAILABLE" });
});
