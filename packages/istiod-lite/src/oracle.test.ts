import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL } from "@ambit/api";
import { AmbientIndex } from "./ambient-index.ts";
import type { Resource } from "./resource.ts";
import { MemorySource } from "./testing/memory-source.ts";
import { type RecordedResource, recordedChanges, recordedObjects, recordedResources } from "./testing/recorded-cluster.ts";
import { meshSettings } from "./testing/settings.ts";

/** Where istiod-lite differs on purpose; the names are rows of docs/compatibility.md. */
const DIFFERENCES = {
  "endpoints without labels carry no selector policies": (expected: RecordedResource): RecordedResource => {
    const { value } = expected;
    if (!expected.name.includes("/ServiceEntry/") || !("kind" in value) || value.kind !== "workload") return expected;
    const authorizationPolicies = value.workload.authorizationPolicies.filter((key) => key.startsWith("istio-system/"));
    return { ...expected, value: { kind: "workload", workload: { ...value.workload, authorizationPolicies } } };
  },
};

/** The row for resources that a change leaves as they are and that istiod sends all the same. */
const UNCHANGED = "unchanged resources are not sent";
const UNCHANGED_BUT_SENT: Readonly<Record<string, (name: string) => boolean>> = {
  "label service details use-waypoint=waypoint": (name) => name.includes("/Pod/bookinfo/details-"),
  "delete AuthorizationPolicy bookinfo/viewer": (name) => name.includes("/ServiceEntry/"),
};

const expectedOf = (recorded: RecordedResource): RecordedResource =>
  Object.values(DIFFERENCES).reduce((resource, adapt) => adapt(resource), recorded);

/** Lists whose order has no meaning, sorted. */
function comparable({ value }: Pick<Resource, "value">): unknown {
  if (!("kind" in value) || value.kind !== "workload") return value;
  return { ...value.workload, authorizationPolicies: value.workload.authorizationPolicies.toSorted() };
}

function setUp() {
  const source = new MemorySource();
  source.put(...recordedObjects());
  const index = new AmbientIndex(source, meshSettings());
  index.start();
  return { source, index };
}

const resourcesOf = (index: AmbientIndex) =>
  [ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL].flatMap((typeUrl) => [...index.table(typeUrl as Resource["typeUrl"]).values()]);

test("AmbientIndex makes the resources that istiod made of the same objects", () => {
  const { index } = setUp();
  const recorded = recordedResources();
  const byName = new Map(resourcesOf(index).map((resource) => [`${resource.typeUrl} ${resource.name}`, resource]));
  assert.deepEqual([...byName.keys()].sort(), recorded.map(({ typeUrl, name }) => `${typeUrl} ${name}`).sort());
  for (const expected of recorded.map(expectedOf)) {
    const actual = byName.get(`${expected.typeUrl} ${expected.name}`);
    assert.ok(actual);
    assert.deepEqual(comparable(actual), comparable(expected), expected.name);
  }
});

const STEPS: readonly ((source: MemorySource) => void)[] = [
  (source) => source.remove("Pod", "bookinfo", "ratings-v1-5f7d8c9b6-eeeee"),
  (source) => {
    const pod = objectNamed("Pod", "reviews-v3-8d9c7f6b5-ddddd");
    source.put({ ...pod, status: { ...pod.status, conditions: [{ type: "Ready", status: "True" }] } });
  },
  (source) => {
    const service = objectNamed("Service", "details");
    source.put({ ...service, metadata: { ...service.metadata, labels: { "istio.io/use-waypoint": "waypoint" } } });
  },
  (source) => source.remove("AuthorizationPolicy", "bookinfo", "viewer"),
  (source) =>
    source.put({
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name: "default", namespace: "bookinfo" },
      spec: { mtls: { mode: "STRICT" } },
    }),
  (source) => source.remove("Service", "bookinfo", "manual"),
  (source) => {
    const pod = objectNamed("Pod", "tunnel-1");
    source.put({ ...pod, metadata: { ...pod.metadata, annotations: {} } });
  },
];

function objectNamed(kind: string, name: string) {
  const object = recordedObjects().find((candidate) => candidate.kind === kind && candidate.metadata.name === name);
  assert.ok(object);
  return object;
}

test("AmbientIndex tells of the changes that istiod pushed, and of nothing more", () => {
  const { source, index } = setUp();
  let told: string[] = [];
  index.onChange((changed) => {
    for (const names of changed.values()) told.push(...names);
  });
  const changes = recordedChanges();
  assert.equal(changes.length, STEPS.length);
  for (const [i, { change, removed, resources }] of changes.entries()) {
    told = [];
    STEPS[i]?.(source);
    const isUnchanged = UNCHANGED_BUT_SENT[change] ?? (() => false);
    const expected = resources.filter(({ name }) => !isUnchanged(name)).map(expectedOf);
    assert.deepEqual(told.toSorted(), [...removed, ...expected.map(({ name }) => name)].sort(), change);
    for (const resource of expected) {
      const actual = index.table(resource.typeUrl).get(resource.name);
      assert.ok(actual, `${change}: ${resource.name}`);
      assert.deepEqual(comparable(actual), comparable(resource), `${change}: ${resource.name}`);
    }
    for (const name of removed)
      assert.equal(
        resourcesOf(index).some((resource) => resource.name === name),
        false,
        name,
      );
  }
});

test("docs/compatibility.md has a row for each difference that the recording shows", () => {
  const text = readFileSync(new URL("../../../docs/compatibility.md", import.meta.url), "utf8");
  for (const name of [...Object.keys(DIFFERENCES), UNCHANGED]) assert.ok(text.includes(`| ${name} |`), name);
});
