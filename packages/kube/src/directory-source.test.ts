import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { eventually } from "@ambit/testkit";
import type { ObjectChange } from "./contract.ts";
import { listKind } from "./decode.ts";
import { DirectorySource, describeProblem } from "./directory-source.ts";

const policy = (name: string, port: string) => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}, namespace: bookinfo}
spec:
  action: DENY
  rules:
  - to:
    - operation:
        ports: [${port}]
`;

async function watching(t: TestContext, files: Readonly<Record<string, string>>) {
  const directory = mkdtempSync(join(tmpdir(), "kube-source-"));
  const stop = new AbortController();
  t.after(() => {
    stop.abort();
    rmSync(directory, { recursive: true });
  });
  const put = (name: string, text: string) => {
    writeFileSync(join(directory, `.${name}`), text);
    renameSync(join(directory, `.${name}`), join(directory, name));
  };
  for (const [name, text] of Object.entries(files)) put(name, text);
  const source = new DirectorySource({ directory });
  await source.start(stop.signal);
  const batches: (readonly ObjectChange[])[] = [];
  source.subscribe((changes) => void batches.push(changes));
  return { directory, put, source, batches };
}

const ports = (source: DirectorySource, name: string) =>
  listKind(source, "AuthorizationPolicy").find(({ metadata }) => metadata.name === name)?.spec.rules?.[0]?.to?.[0]?.operation
    .ports;

test("DirectorySource tells of added, changed and deleted objects, and not of rewrites without a change", async (t) => {
  const { directory, put, source, batches } = await watching(t, { "a.yaml": policy("a", '"80"') });
  assert.deepEqual(ports(source, "a"), ["80"]);
  put("a.yaml", `# a comment\n${policy("a", '"80"')}`);
  put("b.yaml", policy("b", '"81"'));
  await eventually(() => assert.deepEqual(ports(source, "b"), ["81"]));
  put("a.yaml", policy("a", '"82"'));
  await eventually(() => assert.deepEqual(ports(source, "a"), ["82"]));
  rmSync(join(directory, "b.yaml"));
  await eventually(() => assert.equal(ports(source, "b"), undefined));
  const seen = batches.flat().map(({ type, object }) => `${type} ${object.metadata.name}`);
  assert.deepEqual(seen, ["added b", "modified a", "deleted b"]);
});

test("DirectorySource refuses a bad object with file, line, path and reason, and keeps its last good version", async (t) => {
  const good = `${policy("a", '"80"')}---\n${policy("b", '"81"')}`;
  const { put, source } = await watching(t, { "policies.yaml": good });
  put("policies.yaml", `${policy("a", "80")}---\n${policy("b", '"82"')}`);
  await eventually(() => assert.deepEqual(ports(source, "b"), ["82"]));
  assert.deepEqual(ports(source, "a"), ["80"]);
  const [problem] = source.problems();
  assert.ok(problem);
  assert.equal(
    describeProblem(problem),
    'policies.yaml:9: AuthorizationPolicy/bookinfo/a $.spec.rules[0].to[0].operation.ports[0] must be a port in quotes, "9080"',
  );
  put("policies.yaml", good);
  await eventually(() => assert.equal(source.problems().length, 0));
});

test("DirectorySource names a misspelt field of a policy", async (t) => {
  const text = policy("a", '"80"').replace("operation:", "operatoin:");
  const { source } = await watching(t, { "a.yaml": text });
  assert.match(source.problems().map(describeProblem).join(), /operatoin is not a field of this kind|to\[0\]/);
  assert.equal(source.list("AuthorizationPolicy").length, 0);
});

test("DirectorySource keeps everything of a file whose syntax broke", async (t) => {
  const { put, source } = await watching(t, { "a.yaml": policy("a", '"80"') });
  put("a.yaml", "apiVersion: v1\nkind: [unclosed\n");
  await eventually(() => assert.ok(source.problems().length > 0));
  assert.deepEqual(ports(source, "a"), ["80"]);
});

test("DirectorySource uses the first file by name when two hold the same object, and says so", async (t) => {
  const { source } = await watching(t, { "2.yaml": policy("a", '"82"'), "1.yaml": policy("a", '"81"') });
  assert.deepEqual(ports(source, "a"), ["81"]);
  assert.match(source.problems().map(describeProblem).join(), /2\.yaml:1: .*stands in 1\.yaml too/);
});

test("DirectorySource defaults the namespace and leaves kinds that the mesh does not honour alone", async (t) => {
  const { source } = await watching(t, {
    "x.yaml":
      "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: app}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\n",
  });
  assert.equal(source.get("ServiceAccount", "default", "app")?.metadata.namespace, "default");
  assert.deepEqual(source.problems(), []);
});
