// Who may: modes of PeerAuthentication, policies by every attribute of layer 4, and policies that change under open connections.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "@ambit/testkit";
import { meshForFile, NAMESPACE, POLICY_OF, policyFor, serviceFor, webServer } from "./mesh.ts";

const URL = "http://web/details/0";
const ALLOWED = "cluster.local/ns/app/sa/alice";

const mesh = meshForFile(async (mesh) => {
  await mesh.apply(serviceFor("web"));
  await mesh.pods({ name: "alice", node: "node-a" }, { name: "bob", node: "node-b" }, webServer("web", "node-b"), {
    name: "stranger",
    node: "node-a",
    namespace: "outside",
  });
});

/** Each rule, and who of alice, bob and the stranger fulfils it. */
const RULES: readonly (readonly [what: string, rule: () => Promise<object>, who: readonly string[]])[] = [
  ["principals", async () => ({ from: [{ source: { principals: [ALLOWED] } }] }), ["alice"]],
  ["principals by suffix", async () => ({ from: [{ source: { principals: ["*/sa/bob"] } }] }), ["bob"]],
  ["notPrincipals", async () => ({ from: [{ source: { notPrincipals: [ALLOWED] } }] }), ["bob", "stranger"]],
  ["any principal", async () => ({ from: [{ source: { principals: ["*"] } }] }), ["alice", "bob"]],
  ["namespaces", async () => ({ from: [{ source: { namespaces: [NAMESPACE] } }] }), ["alice", "bob"]],
  ["notNamespaces", async () => ({ from: [{ source: { notNamespaces: [NAMESPACE] } }] }), ["stranger"]],
  ["ipBlocks", async () => ({ from: [{ source: { ipBlocks: await addressesOf("bob") } }] }), ["bob"]],
  ["notIpBlocks", async () => ({ from: [{ source: { notIpBlocks: await addressesOf("bob") } }] }), ["alice", "stranger"]],
  ["ports", async () => ({ to: [{ operation: { ports: ["9080"] } }] }), ["alice", "bob", "stranger"]],
  ["other ports", async () => ({ to: [{ operation: { ports: ["9081"] } }] }), []],
  ["notPorts", async () => ({ to: [{ operation: { notPorts: ["9080"] } }] }), []],
  [
    "source and port together",
    async () => ({ from: [{ source: { principals: [ALLOWED] } }], to: [{ operation: { ports: ["9080"] } }] }),
    ["alice"],
  ],
  ["a condition", async () => ({ when: [{ key: "source.namespace", values: [NAMESPACE] }] }), ["alice", "bob"]],
];

async function addressesOf(pod: string): Promise<readonly string[]> {
  return (await mesh.pod(pod)).ips;
}

const CALLERS = [
  ["alice", NAMESPACE],
  ["bob", NAMESPACE],
  ["stranger", "outside"],
] as const;

/** Who gets an answer; asked anew until it is as expected, since a policy takes a moment to arrive. */
async function eventuallyMay(expected: readonly string[]): Promise<void> {
  for (const [name, namespace] of CALLERS) {
    await mesh.eventuallyFetches(name, "http://web.app/details/0", expected.includes(name), namespace);
  }
}

for (const [what, rule, who] of RULES) {
  test(`ALLOW by ${what} lets ${who.join(" and ") || "nobody"} in, DENY keeps them out`, async () => {
    await mesh.apply(policyFor("web", "ALLOW", await rule()));
    await eventuallyMay(who);
    await mesh.apply(policyFor("web", "DENY", await rule()));
    await eventuallyMay(CALLERS.map(([name]) => name).filter((name) => !who.includes(name)));
    await mesh.client.delete(POLICY_OF("web"));
    await eventuallyMay(CALLERS.map(([name]) => name));
  });
}

test("STRICT refuses who has no identity and names the policy; PERMISSIVE takes everybody again", async () => {
  const mode = (value: string) => ({
    apiVersion: "security.istio.io/v1",
    kind: "PeerAuthentication",
    metadata: { name: "default", namespace: NAMESPACE },
    spec: { mtls: { mode: value } },
  });
  await mesh.apply(mode("STRICT"));
  await eventuallyMay(["alice", "bob"]);
  await eventually(async () =>
    (await mesh.accessLines("node-b")).some(
      (line) => line.includes('src.workload="stranger"') && line.includes("istio_converted_static_strict"),
    ),
  );
  await mesh.apply(mode("PERMISSIVE"));
  await eventuallyMay(["alice", "bob", "stranger"]);
});

test("a policy of the root namespace holds in every namespace", async () => {
  const policy = {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "no-bob", namespace: "istio-system" },
    spec: { action: "DENY", rules: [{ from: [{ source: { principals: ["cluster.local/ns/app/sa/bob"] } }] }] },
  };
  await mesh.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "istio-system" } }, policy);
  await eventuallyMay(["alice", "stranger"]);
  await mesh.client.delete({ kind: "AuthorizationPolicy", namespace: "istio-system", name: "no-bob" });
  await eventuallyMay(["alice", "bob", "stranger"]);
});

test("a connection that a new policy forbids is closed while it is open", async () => {
  await mesh.apply(serviceFor("echo", { selector: { app: "echo" }, ports: [{ name: "tcp", port: 9000 }] }));
  await mesh.pods({ name: "echo", node: "node-b", command: ["tcp-echo", "9000", "hello"] });
  const script = `const s=require("net").connect(9000,"echo");s.on("connect",()=>s.write("x\\n"));s.on("data",d=>process.stdout.write(d));s.on("error",e=>{console.log("cut "+e.code);process.exit(0)});s.on("close",()=>{console.log("closed");process.exit(0)});setTimeout(()=>process.exit(9),20000)`;
  await mesh.eventuallyFetches("alice", URL, true);
  const seen: string[] = [];
  let exitCode: number | undefined;
  const watching = (async () => {
    for await (const event of mesh.client.execEvents({ namespace: NAMESPACE, pod: "alice", command: ["node", "-e", script] })) {
      if ("exitCode" in event) exitCode = event.exitCode;
      else seen.push(Buffer.from(event.base64, "base64").toString());
    }
  })();
  await eventually(() => seen.join("").includes("hello"), { timeoutMs: 15_000 });
  await mesh.apply(policyFor("echo", "DENY", { from: [{ source: { principals: [ALLOWED] } }] }));
  await watching;
  assert.equal(exitCode, 0);
  assert.match(seen.join(""), /cut ECONNRESET/);
  await eventually(async () =>
    (await mesh.accessLines("node-b")).some((line) => line.includes("policy change") && line.includes("app/echo-policy")),
  );
});

test("a bad policy is refused with its path, and the good ones stay in force", async () => {
  await mesh.apply(policyFor("web", "ALLOW", { from: [{ source: { principals: [ALLOWED] } }] }));
  await eventuallyMay(["alice"]);
  await assert.rejects(mesh.apply(policyFor("web", "ALLOW", { from: [{ source: { principalz: [ALLOWED] } }] })), {
    message: /principalz/,
  });
  await eventuallyMay(["alice"]);
  await mesh.client.delete(POLICY_OF("web"));
});
