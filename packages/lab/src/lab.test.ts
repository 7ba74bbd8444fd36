import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "@ambit/testkit";
import type { LabClient } from "./api/client.ts";
import { Lab } from "./host/lab.ts";
import { application, callsTo, inClient, startTestLab, untilReady, webPods } from "./lab.testing.ts";

let started: Awaited<ReturnType<typeof startTestLab>>;
let client: LabClient;

before(async () => {
  started = await startTestLab({ mesh: false });
  client = started.lab.client;
  await client.apply({ yaml: application(), file: "shop.yaml" });
  await untilReady(client, 3);
});
after(() => started.stop());

const answers = async (script: string) => {
  const { exitCode, stdout, stderr } = await inClient(client, script);
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(stdout) as string[];
};

test("pods run on the nodes they are bound to, with addresses of both families from the node's range", async () => {
  const { pods } = await client.state();
  const own = pods.filter(({ namespace }) => namespace === "shop");
  assert.equal(own.find(({ name }) => name === "client")?.node, "node-b");
  assert.equal(new Set(own.map(({ node }) => node)).size, 2);
  for (const { node, ips } of own) {
    const range = node === "node-a" ? 1 : 2;
    assert.match(ips[0] ?? "", new RegExp(`^10\\.244\\.${range}\\.\\d+$`));
    assert.match(ips[1] ?? "", new RegExp(`^fd00:10:244:${range}::`));
  }
});

test("a Service leads to all of its pods, by short name, by full name and over IPv6", async () => {
  const names = (await webPods(client)).map(({ name }) => name).sort();
  const reaches = async (host: string) =>
    assert.deepEqual([...new Set(await answers(callsTo(`http://${host}`, 40)))].sort(), names);
  // The rules follow the pods' readiness a moment later.
  await eventually(() => reaches("web"));
  for (const host of ["web.shop", "web.shop.svc.cluster.local"]) await reaches(host);
  const [, v6] = await answers(
    `require("node:dns").lookup("web", { all: true }, (_, found) => console.log(JSON.stringify(found.map(({ address }) => address).sort())))`,
  );
  assert.match(v6 ?? "", /^fd00:10:96::/);
  await reaches(`[${v6}]`);
});

test("a headless Service's name has the addresses of its pods; a name that does not exist is not found", async () => {
  const lookUp = (name: string) =>
    `require("node:dns").resolve4("${name}", (error, found) => console.log(JSON.stringify(error ? [error.code] : found.sort())))`;
  const ips = (await webPods(client)).map((pod) => pod.ips[0]).sort();
  assert.deepEqual(await answers(lookUp("web-pods.shop.svc.cluster.local")), ips);
  assert.deepEqual(await answers(lookUp("nothing.shop.svc.cluster.local")), ["ENOTFOUND"]);
  assert.deepEqual(await answers(lookUp("example.com")), ["ENOTFOUND"]);
});

test("a Service without pods refuses, and a pod reaches itself through its own Service", async () => {
  const refused = await inClient(client, callsTo("http://nobody", 1));
  assert.deepEqual([refused.exitCode, refused.stderr.trim()], [1, "ECONNREFUSED"]);
  const [first] = await webPods(client);
  const self = await client.exec({
    namespace: "shop",
    pod: first?.name ?? "",
    command: ["node", "-e", callsTo("http://web", 30)],
  });
  assert.equal(self.exitCode, 0, self.stderr);
  assert.ok((JSON.parse(self.stdout) as string[]).includes(first?.name ?? ""));
});

test("a container has facts about its pod, its Services and what the manifest says in its environment", async () => {
  const [pod] = await webPods(client);
  const script = `fetch("http://${pod?.ips[0]}:8080/environment").then(async (answer) => console.log(await answer.text()))`;
  const environment = JSON.parse((await inClient(client, script)).stdout) as Record<string, string>;
  assert.deepEqual([environment["HOSTNAME"], environment["NODE"], environment["VERSION"]], [pod?.name, pod?.node, "1"]);
  assert.match(environment["WEB_SERVICE_HOST"] ?? "", /^10\.96\./);
  assert.equal(environment["WEB_SERVICE_PORT"], "80");
});

test("exec() tells both outputs and the exit code; a pod that is not there is named", async () => {
  const said = await inClient(client, `console.log("out"); console.error("err"); process.exit(7)`);
  assert.deepEqual(said, { exitCode: 7, stdout: "out\n", stderr: "err\n" });
  await assert.rejects(client.exec({ namespace: "shop", pod: "gone", command: ["true"] }), { code: "LAB_NOT_FOUND" });
});

test("apply() refuses a manifest as a whole, with file, line and reason", async () => {
  const good = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: fine, namespace: shop}\n";
  const bad = `${good}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad, namespace: shop}\nspec:\n  replicas: many\n`;
  await assert.rejects(client.apply({ yaml: bad, file: "bad.yaml" }), {
    code: "LAB_OBJECT_REFUSED",
    message: /^bad\.yaml:9: .*replicas/,
  });
  const elsewhere = good.replace("shop", "nowhere");
  await assert.rejects(client.apply({ yaml: elsewhere, file: "x.yaml" }), {
    code: "LAB_OBJECT_REFUSED",
    message: /no namespace nowhere/,
  });
  const [result] = await client.apply({ yaml: good, file: "good.yaml" });
  assert.equal(result?.result, "created");
});

test("a forwarded port of the machine leads to a pod of the Service, also to what listens on the pod's loopback alone", async () => {
  const port = await started.lab.forward({ namespace: "shop", target: "svc/web", port: 80 }, 0);
  const { pod, caller } = (await (await fetch(`http://127.0.0.1:${port}/`)).json()) as { pod: string; caller: string };
  assert.ok((await webPods(client)).some(({ name }) => name === pod));
  assert.equal(caller, "127.0.0.1");
  const nobody = await started.lab.forward({ namespace: "shop", target: "svc/nobody", port: 80 }, 0);
  await assert.rejects(fetch(`http://127.0.0.1:${nobody}/`));
});

test("a capture on a node shows what passes between the machines", async () => {
  const remote = (await webPods(client)).find(({ node }) => node === "node-a");
  const finish = await client.capture({ node: "node-a" });
  await answers(callsTo(`http://${remote?.ips[0]}:8080/marked-request`, 1));
  const { frames, dropped } = await finish();
  assert.equal(dropped, 0);
  assert.ok(frames.some(({ bytes }) => Buffer.from(bytes).includes("/marked-request")));
});

test("a container that ends is started again, and its pod is ready again after that", async () => {
  const [pod] = await webPods(client);
  await inClient(client, callsTo(`http://${pod?.ips[0]}:8080/crash`, 1));
  await eventually(
    async () => (await webPods(client)).some(({ name, restarts, ready }) => name === pod?.name && restarts === 1 && ready),
    { timeoutMs: 20_000 },
  );
});

test("a connection stays with its pod while others come and go", async () => {
  const script = `
    const socket = require("node:net").connect(80, "web");
    let answers = 0;
    socket.on("data", (data) => (answers += String(data).split("HTTP/1.1 200").length - 1));
    socket.on("close", () => { console.log("closed"); process.exit(1); });
    socket.on("connect", () => console.log("connected"));
    const timer = setInterval(() => socket.write("GET / HTTP/1.1\\r\\nhost: web\\r\\n\\r\\n"), 50);
    process.stdin.resume();
    setTimeout(() => { clearInterval(timer); console.log(answers > 20 ? "ok" : "only " + answers); process.exit(0); }, 5000);
  `;
  const running = inClient(client, script);
  await client.apply({ yaml: application(5), file: "shop.yaml" });
  await untilReady(client, 5);
  const { stdout } = await running;
  assert.equal(stdout, "connected\nok\n");
  await client.apply({ yaml: application(2), file: "shop.yaml" });
  await untilReady(client, 2);
  assert.equal(new Set(await answers(callsTo("http://web", 20))).size, 2);
});

test("a changed template replaces the pods, a deleted pod is replaced, a deleted Deployment takes its pods along", async () => {
  const before = new Set((await webPods(client)).map(({ name }) => name));
  await client.apply({ yaml: application(2, "2"), file: "shop.yaml" });
  const replaced = await eventually(
    async () => {
      const pods = await untilReady(client, 2);
      return pods.every(({ name }) => !before.has(name)) ? pods : false;
    },
    { timeoutMs: 30_000 },
  );
  await client.delete({ kind: "Pod", namespace: "shop", name: replaced[0]?.name ?? "" });
  await eventually(async () => (await untilReady(client, 2)).every(({ name }) => name !== replaced[0]?.name), {
    timeoutMs: 30_000,
  });
  await client.delete({ kind: "Deployment", namespace: "shop", name: "web" });
  await eventually(async () => (await webPods(client)).length === 0, { timeoutMs: 20_000 });
});

test("Lab.start() refuses a directory that another lab uses, and one that holds something else", async () => {
  await assert.rejects(Lab.start({ directory: started.lab.paths.root, mesh: false }), { code: "LAB_ALREADY_RUNNING" });
  await assert.rejects(Lab.start({ directory: import.meta.dirname, mesh: false }), { code: "LAB_DIRECTORY_UNUSABLE" });
});
