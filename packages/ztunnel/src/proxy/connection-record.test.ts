import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodUid } from "@ambit/core";
import { socketAddress } from "@ambit/testkit";
import type { ToMain } from "../worker-messages.ts";
import { ConnectionRecords, type RecordFacts } from "./connection-record.ts";

const FACTS: RecordFacts = {
  direction: "outbound",
  pod: "uid" as PodUid,
  source: { workload: "a" },
  destination: { workload: "b" },
  service: undefined,
  isMutualTls: true,
  sourceAddress: socketAddress("10.0.0.1:1"),
  destinationAddress: socketAddress("10.0.0.2:15008"),
};
const END = { flag: "-", error: undefined, receivedBytes: 1, sentBytes: 2 } as const;

function setUp() {
  const posted: ToMain[] = [];
  let nowMs = 1_000;
  const records = new ConnectionRecords(
    (message) => posted.push(message),
    () => nowMs,
  );
  return { posted, records, wait: (ms: number) => (nowMs += ms) };
}

test("ConnectionRecords sends labels once, before the first connection that names them", () => {
  const { posted, records } = setUp();
  records.open(FACTS);
  records.open(FACTS);
  records.open({ ...FACTS, direction: "inbound" });
  assert.deepEqual(
    posted.map(({ kind }) => kind),
    ["labels", "opened", "opened", "labels", "opened"],
  );
});

test("ConnectionRecord.close() reports once, with the time that it lasted", () => {
  const { posted, records, wait } = setUp();
  const record = records.open(FACTS);
  wait(25);
  record.close(END);
  record.close({ ...END, flag: "DENY" });
  const closed = posted.filter(({ kind }) => kind === "closed");
  assert.deepEqual(closed, [{ kind: "closed", id: record.id, durationMs: 25, ...END }]);
});

test("ConnectionRecord.close() reports no negative time when the clock is set back", () => {
  const { posted, records, wait } = setUp();
  const record = records.open(FACTS);
  wait(-5_000);
  record.close(END);
  assert.equal(posted.find((message) => message.kind === "closed")?.durationMs, 0);
});

test("ConnectionRecords gives numbers anew, so that neither side remembers labels without bound", () => {
  const { posted, records } = setUp();
  for (let i = 0; i < 50_000; i++) records.open({ ...FACTS, source: { workload: `pod-${i}` } });
  const numbers = new Set(posted.flatMap((message) => (message.kind === "labels" ? [message.number] : [])));
  assert.ok(numbers.size <= 20_000, `${numbers.size}`);
  const last = posted.at(-1);
  const before = posted.at(-2);
  assert.ok(last?.kind === "opened" && before?.kind === "labels");
  assert.equal(last.labels, before.number);
});
