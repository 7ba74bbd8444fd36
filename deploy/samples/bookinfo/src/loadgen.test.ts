import assert from "node:assert/strict";
import { test } from "node:test";
import { serveHttp } from "./http-server.ts";
import { closingLines, parseLoadArgs, runLoad } from "./loadgen.ts";

test("parseLoadArgs() reads fortio's flags in both spellings", () => {
  assert.deepEqual(parseLoadArgs(["-c", "2", "-n=20", "-qps", "0", "-t", "1m", "http://x/"]), {
    url: "http://x/",
    connections: 2,
    calls: 20,
    qps: 0,
    durationMs: 60_000,
    timeoutMs: 15_000,
  });
  assert.throws(() => parseLoadArgs(["-quic", "1", "http://x/"]), /unknown flag -quic/);
});

test("runLoad() counts every failure, also an apology inside a page", async (t) => {
  let count = 0;
  const server = await serveHttp(
    () => {
      count++;
      if (count === 1) return { status: 503, body: "" };
      return { status: 200, body: count === 2 ? "Error fetching product reviews" : "fine" };
    },
    0,
    "127.0.0.1",
  );
  t.after(() => server.close());
  const failures: string[] = [];
  const options = parseLoadArgs(["-c", "1", "-n", "20", "-qps", "0", `http://127.0.0.1:${server.port}/`]);
  const report = await runLoad(options, new AbortController().signal, (reason) => failures.push(reason));
  assert.deepEqual(failures, ["status 503", "Error fetching product reviews"]);
  assert.equal(report.failures, 2);
  assert.deepEqual(closingLines(report).slice(0, 3), ["Code  -1 : 1 (5.0 %)", "Code 200 : 18 (90.0 %)", "Code 503 : 1 (5.0 %)"]);
});
