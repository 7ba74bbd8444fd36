import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, MeshError, type PodUid, type SpiffeId, type Workload } from "@ambit/core";
import { MeshState } from "@ambit/discovery";
import type { Credentials, Engine } from "@ambit/engine";
import { identity, workload } from "@ambit/testkit";
import { Admission, type AdmissionResult } from "./admission.ts";
import { CredentialStore } from "./credential-store.ts";

const POD = { uid: "uid" as PodUid, name: "a", namespace: "default", serviceAccount: "sa", netns: { id: "1", fd: -1 } };
const SA = identity("default", "sa");

/** What Admission and CredentialStore use of an engine, with time moved by hand. */
function setUp() {
  const clock = new ManualClock(1_000_000);
  const closed: string[] = [];
  let notAfterMs = 2_000_000;
  let made = 0;
  const engine = {
    nowMs: () => clock.nowMs(),
    after: (delayMs: number, action: () => void) => clock.after(delayMs, action),
    credentials: () => {
      const name = `generation ${++made}`;
      return { identity: SA, notAfterMs, close: () => closed.push(name) } as unknown as Credentials;
    },
  } as unknown as Engine;
  const asked: SpiffeId[] = [];
  const view = new MeshState();
  const credentials = new CredentialStore(engine, (id) => asked.push(id));
  const admission = new Admission(engine, view, credentials, "Kubernetes" as Workload["clusterId"]);
  const results: AdmissionResult[] = [];
  return {
    clock,
    asked,
    closed,
    admission,
    credentials,
    results,
    admit: (needsCredentials: boolean) => admission.admit(POD, needsCredentials, (result) => results.push(result)),
    know: (of: Workload) => {
      view.apply({ addresses: { upserts: [{ name: of.uid, resource: { kind: "workload", workload: of } }], removals: [] } });
      admission.changed();
    },
    issue: (untilMs: number) => {
      notAfterMs = untilMs;
      assert.equal(credentials.set({ identity: SA, certChain: "", privateKey: "", roots: "" }), undefined);
      admission.changed();
    },
  };
}

const KNOWN = workload().named("a").inNamespace("default").as("sa").build();

test("Admission.admit() answers at once when nothing is missing", () => {
  const { admission, know, issue, admit, results, asked } = setUp();
  know(KNOWN);
  admission.meshReady();
  issue(2_000_000);
  admit(false);
  admit(true);
  assert.deepEqual(
    results.map((result) => result.kind === "admitted" && [result.admitted.identity, result.admitted.credentials !== undefined]),
    [
      [SA, false],
      [SA, true],
    ],
  );
  assert.deepEqual(asked, []);
});

test("Admission.admit() decides nothing before the first complete state", () => {
  const { admission, know, admit, results, clock } = setUp();
  know(KNOWN);
  admit(false);
  assert.deepEqual([results.length, admission.waiting], [0, 1]);
  clock.advance(4_999);
  admission.meshReady();
  assert.deepEqual([results[0]?.kind, admission.waiting], ["admitted", 0]);
  clock.advance(60_000);
  assert.equal(results.length, 1);
});

test("Admission.admit() refuses after 5 s with what is missing", () => {
  const { admission, know, admit, results, clock, asked, credentials } = setUp();
  admit(false);
  clock.advance(5_000);
  admission.meshReady();
  admit(false);
  clock.advance(5_000);
  know(KNOWN);
  admit(true);
  assert.deepEqual(asked.length > 0, true);
  credentials.lose(SA, "the authority said no");
  clock.advance(5_000);
  assert.deepEqual(
    results.map((result) => result.kind === "refused" && [result.error.code, result.error.message]),
    [
      ["ZTUNNEL_WORKLOAD_UNKNOWN", "unknown source: pod default/a: discovery has not answered yet"],
      ["ZTUNNEL_WORKLOAD_UNKNOWN", "unknown source: pod default/a: discovery does not know it"],
      ["ZTUNNEL_IDENTITY_UNAVAILABLE", `identity error: no certificate for ${SA}: the authority said no`],
    ],
  );
});

test("Admission.workloadOf() does not take a pod for one of another service account", () => {
  const { admission, know } = setUp();
  admission.meshReady();
  know({ ...KNOWN, serviceAccount: "other" });
  assert.equal(admission.workloadOf(POD), undefined);
  know(KNOWN);
  assert.equal(admission.workloadOf(POD)?.uid, KNOWN.uid);
});

test("Admission.forget() refuses everybody who waits for the pod, once", () => {
  const { admission, admit, results, clock } = setUp();
  admit(false);
  admit(true);
  admission.forget(POD, new MeshError("ZTUNNEL_POD_REMOVED", "gone"));
  clock.advance(60_000);
  assert.deepEqual(
    results.map((result) => result.kind === "refused" && result.error.code),
    ["ZTUNNEL_POD_REMOVED", "ZTUNNEL_POD_REMOVED"],
  );
});

test("CredentialStore gives no certificate that has expired, and lets the former generation go", () => {
  const { credentials, issue, clock, asked, closed } = setUp();
  issue(1_000_500);
  clock.advance(499);
  assert.ok(credentials.get(SA) !== undefined);
  clock.advance(1);
  assert.equal(credentials.get(SA), undefined);
  assert.deepEqual(asked, [SA]);
  issue(2_000_000);
  assert.ok(credentials.get(SA) !== undefined);
  assert.deepEqual(closed, ["generation 1"]);
});
