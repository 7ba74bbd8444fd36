import assert from "node:assert/strict";
import { test } from "node:test";
import { ip } from "@ambit/testkit";
import { readMessage } from "../testing/dns.ts";
import { encodeAnswer, encodeFailure, encodeQuery, parseAnswer, parseQuery, RCODE, TYPE } from "./message.ts";

/** Numerical Recipes' generator: the same bytes in every run. */
function seededBytes(seed: number): (length: number) => Uint8Array {
  let state = seed;
  return (length) =>
    Uint8Array.from({ length }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 24;
    });
}

const NO_RECORDS = { addresses: [], alias: undefined, ttlSeconds: 0 };

function queryOf(name: string, type: number) {
  const query = parseQuery(encodeQuery(0xabcd, name, type));
  assert.ok(query !== undefined);
  return query;
}

test("parseQuery() reads what encodeQuery() writes", () => {
  const query = queryOf("Web.Example.COM", TYPE.AAAA);
  assert.deepEqual(
    { ...query, question: { ...query.question, bytes: undefined } },
    {
      id: 0xabcd,
      opcode: 0,
      isResponse: false,
      recursionDesired: true,
      question: { name: "web.example.com", type: TYPE.AAAA, isInternet: true, bytes: undefined },
      edns: undefined,
    },
  );
});

test("parseQuery() takes no question from names that are cut, compressed or too long", () => {
  const head = (questions: number) => [0, 1, 1, 0, 0, questions, 0, 0, 0, 0, 0, 0];
  const end = [0, 1, 0, 1];
  const long = Array.from({ length: 5 }, () => [63, ...new Array<number>(63).fill(97)]).flat();
  for (const bytes of [
    [...head(1), 3, 97, 98],
    [...head(1), 0xc0, 12, ...end],
    [...head(1), ...long, 0, ...end],
    [...head(1), 1, 97, 0, 0],
    [...head(0)],
    [...head(2), 1, 97, 0, ...end, 1, 98, 0, ...end],
  ]) {
    const query = parseQuery(Uint8Array.from(bytes));
    assert.ok(query !== undefined);
    assert.equal(query.question, undefined, String(bytes));
    assert.equal(readMessage(encodeFailure(query, RCODE.formatError)).rcode, RCODE.formatError);
  }
  assert.equal(parseQuery(new Uint8Array(11)), undefined);
});

test("parseQuery() does not take a dot inside a label for the end of it", () => {
  const bytes = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 97, 46, 98, 0, 0, 1, 0, 1];
  assert.equal(parseQuery(Uint8Array.from(bytes))?.question?.name, "a\\.b");
});

test("encodeAnswer() returns the question's letters as they came", () => {
  const query = queryOf("wEb.eXample.com", TYPE.A);
  const answer = encodeAnswer(query, RCODE.noError, { addresses: [ip("10.0.0.1")], alias: undefined, ttlSeconds: 30 }, true);
  assert.equal(readMessage(answer).answers[0]?.name, "wEb.eXample.com");
});

test("encodeAnswer() leads by an alias to the addresses' own name", () => {
  const query = queryOf("web.default.svc.cluster.local.cluster.local", TYPE.AAAA);
  const alias = "web.default.svc.cluster.local";
  const answer = encodeAnswer(query, RCODE.noError, { addresses: [ip("fd00::1")], alias, ttlSeconds: 5 }, false);
  assert.deepEqual(readMessage(answer).answers, [
    { name: "web.default.svc.cluster.local.cluster.local", type: TYPE.CNAME, ttl: 5, data: alias },
    { name: alias, type: TYPE.AAAA, ttl: 5, data: "fd00::1" },
  ]);
});

test("encodeFailure() is not authoritative and keeps id, opcode and question", () => {
  const failure = readMessage(encodeFailure(queryOf("web", TYPE.A), RCODE.serverFailure));
  assert.deepEqual(failure, {
    id: 0xabcd,
    rcode: RCODE.serverFailure,
    isAuthoritative: false,
    isTruncated: false,
    answers: [],
    ednsBytes: undefined,
  });
});

test("encodeAnswer() claims no more than 512 bytes from a client whose EDNS size is below that", () => {
  const opt = [0, 0, TYPE.OPT, 0, 100, 0, 0, 0, 0, 0, 0];
  const bytes = Uint8Array.from([...encodeQuery(1, "web", TYPE.A), ...opt]);
  bytes[11] = 1;
  const query = parseQuery(bytes);
  assert.deepEqual(query?.edns, { udpBytes: 512 });
  const addresses = Array.from({ length: 100 }, (_, i) => ip(`10.0.0.${i}`));
  assert.ok(query !== undefined);
  const answer = encodeAnswer(query, RCODE.noError, { ...NO_RECORDS, addresses }, true);
  assert.ok(answer.length <= 512);
  assert.equal(readMessage(answer).isTruncated, true);
});

test("parseAnswer() takes addresses of both families and steps over everything else", () => {
  const query = queryOf("web.example.com", TYPE.A);
  const records = { addresses: [ip("10.0.0.1"), ip("fd00::1")], alias: "other.example.com", ttlSeconds: 7 };
  const answer = parseAnswer(encodeAnswer(query, RCODE.noError, records, false));
  assert.deepEqual(
    answer?.addresses.map(({ bytes, ttlSeconds }) => [bytes.length, ttlSeconds]),
    [
      [4, 7],
      [16, 7],
    ],
  );
  const cut = encodeAnswer(query, RCODE.noError, records, false).slice(0, -1);
  assert.equal(parseAnswer(cut), undefined);
});

test("parseQuery() and parseAnswer() never throw, whatever the bytes", () => {
  const bytesOf = seededBytes(20_260_801);
  const valid = [
    encodeQuery(1, "web.default.svc.cluster.local", TYPE.A),
    encodeAnswer(queryOf("a.b", TYPE.A), 0, { addresses: [ip("10.0.0.1")], alias: "c.d", ttlSeconds: 1 }, true),
  ];
  for (let i = 0; i < 50_000; i++) {
    const [pick = 0, at = 0, length = 0] = bytesOf(3);
    const noise = bytesOf(length);
    const base = valid[pick % 2] ?? noise;
    const damaged = base.slice(0, (at % base.length) + 1 + (length % 8));
    if (damaged.length > 0) damaged[at % damaged.length] = noise[0] ?? 0;
    for (const message of [noise, damaged, Uint8Array.from([...base, ...noise])]) {
      const query = parseQuery(message);
      // What is answered to nonsense must be a message itself.
      if (query !== undefined) readMessage(encodeFailure(query, RCODE.formatError));
      parseAnswer(message);
    }
  }
});
