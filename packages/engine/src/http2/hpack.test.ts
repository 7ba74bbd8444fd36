import assert from "node:assert/strict";
import test from "node:test";
import { hasCode } from "@ambit/core";
import { seededRandom } from "@ambit/testkit";
import { type HeaderList, HpackDecoder, HpackEncoder } from "./hpack.ts";
import { STATIC_TABLE } from "./hpack-table.ts";

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s+/g, ""), "hex");
const decodeHex = (decoder: HpackDecoder, text: string): HeaderList => {
  const bytes = hex(text);
  return decoder.decode(bytes, 0, bytes.length);
};
const newDecoder = (): HpackDecoder => new HpackDecoder(64 * 1024);
const compression = (error: unknown): boolean => error instanceof Error && "h2Code" in error && error.h2Code === 9;

test("the static table has the 61 entries of RFC 7541 appendix A", () => {
  assert.equal(STATIC_TABLE.length, 61);
  assert.deepEqual(
    [STATIC_TABLE[14], STATIC_TABLE[15], STATIC_TABLE[60]],
    [
      ["accept-charset", ""],
      ["accept-encoding", "gzip, deflate"],
      ["www-authenticate", ""],
    ],
  );
});

test("HpackDecoder.decode() reads the single fields of RFC 7541 C.2", () => {
  const custom: HeaderList = [["custom-key", "custom-header"]];
  assert.deepEqual(decodeHex(newDecoder(), "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"), custom);
  assert.deepEqual(decodeHex(newDecoder(), "040c 2f73 616d 706c 652f 7061 7468"), [[":path", "/sample/path"]]);
  assert.deepEqual(decodeHex(newDecoder(), "1008 7061 7373 776f 7264 0673 6563 7265 74"), [["password", "secret"]]);
  assert.deepEqual(decodeHex(newDecoder(), "82"), [[":method", "GET"]]);
});

const REQUESTS: readonly HeaderList[] = [
  [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "www.example.com"],
  ],
  [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "www.example.com"],
    ["cache-control", "no-cache"],
  ],
  [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/index.html"],
    [":authority", "www.example.com"],
    ["custom-key", "custom-value"],
  ],
];

test("HpackDecoder.decode() follows the request sequences of RFC 7541 C.3 (plain) and C.4 (Huffman)", () => {
  const plain = newDecoder();
  const plainBlocks = [
    "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    "8286 84be 5808 6e6f 2d63 6163 6865",
    "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
  ];
  assert.deepEqual(
    plainBlocks.map((block) => decodeHex(plain, block)),
    REQUESTS,
  );
  const huffman = newDecoder();
  const huffmanBlocks = [
    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    "8286 84be 5886 a8eb 1064 9cbf",
    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
  ];
  assert.deepEqual(
    huffmanBlocks.map((block) => decodeHex(huffman, block)),
    REQUESTS,
  );
});

const COOKIE = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const RESPONSES: readonly HeaderList[] = [
  [
    [":status", "302"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    ["location", "https://www.example.com"],
  ],
  [
    [":status", "307"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    ["location", "https://www.example.com"],
  ],
  [
    [":status", "200"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
    ["location", "https://www.example.com"],
    ["content-encoding", "gzip"],
    ["set-cookie", COOKIE],
  ],
];

test("HpackDecoder.decode() evicts as in the response sequences of RFC 7541 C.5 (plain) and C.6 (Huffman)", () => {
  // The examples have a table of 256 bytes: a size update of 256 in front of the first block.
  const plain = newDecoder();
  const plainBlocks = [
    "3fe101 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    "4803 3330 37c1 c0bf",
    "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
  ];
  assert.deepEqual(
    plainBlocks.map((block) => decodeHex(plain, block)),
    RESPONSES,
  );
  const huffman = newDecoder();
  const huffmanBlocks = [
    "3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
    "4883 640e ffc1 c0bf",
    "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
  ];
  assert.deepEqual(
    huffmanBlocks.map((block) => decodeHex(huffman, block)),
    RESPONSES,
  );
});

test("HpackDecoder.decode() refuses what is malformed", () => {
  const cases = {
    "index 0": "80",
    "index beyond both tables": "be",
    "size update after a field": "82 20",
    "size update above the setting": "3fe21f",
    "string longer than the block": "000a 61",
    "integer without end": "ff ff ff ff ff ff ff ff",
    "field without value": "00 01 61",
    "Huffman with EOS": "00 84 ffff ffff 00",
    "Huffman padding of a whole byte": "00 82 1fff 00",
    "Huffman padding of zeros": "00 81 18 00",
  };
  for (const [name, block] of Object.entries(cases)) assert.throws(() => decodeHex(newDecoder(), block), compression, name);
});

test("HpackDecoder.decode() drops what exceeds the list limit and keeps its table in step", () => {
  const decoder = new HpackDecoder(100);
  const encoder = new HpackEncoder();
  const encode = (list: HeaderList): Buffer => Buffer.from(encoder.encode(list));
  const first = encode([
    ["a", "x".repeat(40)],
    ["b", "y".repeat(40)],
    ["c", "z"],
  ]);
  const second = encode([["b", "y".repeat(40)]]);
  assert.deepEqual(decoder.decode(first, 0, first.length), [["a", "x".repeat(40)]]);
  assert.equal(decoder.overflowed, true);
  assert.deepEqual(decoder.decode(second, 0, second.length), [["b", "y".repeat(40)]]);
  assert.equal(decoder.overflowed, false);
});

test("HpackEncoder and HpackDecoder agree on generated lists, with changes of the table size", () => {
  const random = seededRandom(7541);
  const pick = (n: number): number => Math.floor(random() * n);
  const names = ["baggage", "forwarded", "traceparent", ":authority", ":method", "cookie", "x-a", "x-b", "x-c", "content-type"];
  for (let round = 0; round < 50; round++) {
    const encoder = new HpackEncoder();
    const decoder = newDecoder();
    for (let block = 0; block < 60; block++) {
      for (let change = pick(6) - 3; change > 0; change--) encoder.setPeerTableSize([0, 64, 200, 4096, 100_000][pick(5)] ?? 0);
      const list = Array.from({ length: pick(12) }, (): [string, string] => {
        const length = pick(10) === 0 ? pick(3000) : pick(30);
        return [names[pick(names.length)] ?? "x", ("abcdefgh é~"[pick(11)]?.repeat(length) ?? "").trim()];
      });
      const bytes = Buffer.from(encoder.encode(list));
      assert.deepEqual(decoder.decode(bytes, 0, bytes.length), list);
    }
  }
});

test("HpackEncoder.encode() sends what repeats as one byte and refuses forbidden characters", () => {
  const encoder = new HpackEncoder();
  const list: HeaderList = [
    [":method", "CONNECT"],
    [":authority", "10.0.0.1:80"],
    ["baggage", "k8s.namespace.name=a"],
  ];
  assert.ok(encoder.encode(list).length > 30);
  assert.equal(encoder.encode(list).length, 3);
  for (const bad of [
    ["x", "a\r\nb: c"],
    ["x", "\u0100"],
    ["X", "a"],
    ["", "a"],
    ["a b", ""],
  ] as const) {
    assert.throws(
      () => encoder.encode([bad]),
      (error) => hasCode(error, "ENGINE_HTTP2_HEADERS_INVALID"),
    );
  }
  assert.equal(encoder.encode(list).length, 3);
});

test("HpackDecoder.decode() ends in a list or a compression error for any bytes", () => {
  const random = seededRandom(1);
  for (let round = 0; round < 3000; round++) {
    const bytes = Buffer.from(Array.from({ length: 1 + Math.floor(random() * 40) }, () => Math.floor(random() * 256)));
    try {
      newDecoder().decode(bytes, 0, bytes.length);
    } catch (error) {
      assert.ok(compression(error), String(error));
    }
  }
});
