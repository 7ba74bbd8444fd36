import assert from "node:assert/strict";
import { test } from "node:test";
import { parseWrk } from "./measures.ts";

const OUTPUT = `Running 2s test @ http://127.0.0.1:22001/
  1 threads and 16 connections
  Latency Distribution
     50%    1.25ms
     75%    2.00ms
     90%    3.10ms
     99%   27.00ms
  1106 requests in 2.00s, 1.30MB read
  Socket errors: connect 0, read 3, write 0, timeout 0
Requests/sec:    553.00
Transfer/sec:    664.00KB
`;

test("parseWrk() reads rate, requests, 99th percentile and errors", () => {
  assert.deepEqual(parseWrk(OUTPUT, false), {
    value: 553,
    work: 1106,
    p99Us: 27_000,
    errors: "Socket errors: connect 0, read 3, write 0, timeout 0",
  });
});

test("parseWrk() gives the median in microseconds when latency is asked for", () => {
  assert.equal(parseWrk(OUTPUT, true).value, 1250);
});

test("parseWrk() throws when nothing was measured", () => {
  assert.throws(() => parseWrk("unable to connect to 127.0.0.1", false), /no requests/);
});
