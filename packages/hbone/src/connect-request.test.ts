import assert from "node:assert/strict";
import { test } from "node:test";
import type { IpAddress } from "@ambit/core";
import {
  connectHeaders,
  formatAuthority,
  formatForwarded,
  newTraceparent,
  parseAuthority,
  parseForwardedHost,
  parseTraceparent,
} from "./connect-request.ts";

const SOURCE = { ip: "10.0.0.1" as IpAddress, port: 4711 };

test("parseAuthority() takes addresses and host names, and gives back what formatAuthority() wrote", () => {
  for (const text of [
    "10.0.0.1:80",
    "[2001:db8::1]:8080",
    "reviews.default.svc.cluster.local:9080",
    "*.example.com:443",
    "a:1",
    "a_b.c:65535",
  ]) {
    const authority = parseAuthority(text);
    assert.ok(authority !== undefined, text);
    assert.equal(formatAuthority(authority), text);
  }
  assert.deepEqual(parseAuthority("Reviews.Default:80"), { kind: "hostname", hostname: "reviews.default", port: 80 });
  assert.equal(parseAuthority("10.0.0.1:80")?.kind, "address");
});

test("parseAuthority() refuses what is neither", () => {
  for (const text of [
    "",
    ":80",
    "host",
    "host:",
    "host:0",
    "host:65536",
    "host:-1",
    "host:80x",
    "host:080808",
    "10.0.0.1",
    "10.0.0.1:0",
    "10.0.0:80",
    "10.0.0.256:80",
    "1.2.3.4.5:80",
    "2001:db8::1:80",
    "[2001:db8::1]",
    "[2001:db8::1]:0",
    "[10.0.0.1:80",
    "a..b:80",
    "-a:80",
    "a-:80",
    "a*:80",
    "user@host:80",
    "host:80/path",
    "ho st:80",
    "host\n:80",
    "host:80\n",
    `${"a".repeat(64)}:80`,
    `${"a.".repeat(127)}:80`,
  ]) {
    if (text === `${"a.".repeat(127)}:80`) assert.ok(parseAuthority(`${"a.".repeat(120)}b:80`) !== undefined);
    else assert.equal(parseAuthority(text), undefined, JSON.stringify(text));
  }
  assert.equal(parseAuthority(`${"a.".repeat(127)}bc:80`), undefined);
});

test("connectHeaders() writes the headers in order and leaves out the unknown ones", () => {
  assert.deepEqual(connectHeaders({ source: SOURCE, traceparent: "t" }), [
    ["forwarded", 'for="10.0.0.1:4711"'],
    ["traceparent", "t"],
  ]);
  assert.deepEqual(
    connectHeaders({ source: SOURCE, traceparent: "t", baggage: "b=c", serviceHostname: "web.a.svc", network: "net1" }),
    [
      ["baggage", "b=c"],
      ["forwarded", 'for="10.0.0.1:4711";host=web.a.svc'],
      ["traceparent", "t"],
      ["x-forwarded-network", "net1"],
    ],
  );
});

test("parseForwardedHost() reads the host of the last element, quoted or not, and nothing else", () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    [formatForwarded(SOURCE, "web.a.svc"), "web.a.svc"],
    [formatForwarded(SOURCE, undefined), undefined],
    [formatForwarded({ ip: "2001:db8::1" as IpAddress, port: 1 }, "v6"), "v6"],
    ["host=a, for=x;host=b", "b"],
    ['for="a;host=evil";host=good', "good"],
    ['for="a,host=evil"', undefined],
    ['Host="web"', "web"],
    ["host=", undefined],
    ['host=""', undefined],
    [" for=x ; host = no ; host=yes ", "yes"],
    ["", undefined],
    ["hostile=x", undefined],
  ];
  for (const [text, host] of cases) assert.equal(parseForwardedHost(text), host, text);
});

test("newTraceparent() gives new ids of version 00 that are not sampled, also after its entropy was refilled", () => {
  const seen = new Set<string>();
  for (let i = 0; i < 1_000; i++) {
    const text = newTraceparent();
    assert.match(text, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    assert.ok(parseTraceparent(text) !== undefined);
    seen.add(text.slice(3, 35));
  }
  assert.equal(seen.size, 1_000);
});

test("parseTraceparent() takes version 00 with ids that are not zero", () => {
  const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  const span = "00f067aa0ba902b7";
  assert.deepEqual(parseTraceparent(`00-${trace}-${span}-01`), { traceId: trace, spanId: span });
  for (const text of [
    "",
    `01-${trace}-${span}-01`,
    `00-${trace}-${span}`,
    `00-${trace}-${span}-01-x`,
    `00-${trace.toUpperCase()}-${span}-01`,
    `00-${"0".repeat(32)}-${span}-01`,
    `00-${trace}-${"0".repeat(16)}-01`,
    `00-${trace.slice(1)}-${span}-01`,
  ]) {
    assert.equal(parseTraceparent(text), undefined, text);
  }
});
