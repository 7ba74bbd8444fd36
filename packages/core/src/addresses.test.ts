import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import test from "node:test";
import {
  cidrContains,
  formatCidr,
  formatSocketAddress,
  type IpAddress,
  ipFamily,
  ipFromBytes,
  ipToBytes,
  isLoopback,
  parseCidr,
  parseIp,
  parseSocketAddress,
} from "./addresses.ts";

const canonical: readonly [text: string, expected: string | undefined][] = [
  ["1.2.3.4", "1.2.3.4"],
  ["0.0.0.0", "0.0.0.0"],
  ["255.255.255.255", "255.255.255.255"],
  ["256.0.0.1", undefined],
  ["1.2.3", undefined],
  ["1.2.3.4.5", undefined],
  ["01.2.3.4", undefined],
  ["1.2.3.04", undefined],
  ["1.2.3.+4", undefined],
  ["1.2.3. 4", undefined],
  ["0x1.2.3.4", undefined],
  ["", undefined],
  [" 1.2.3.4", undefined],
  ["1.2.3.4\n", undefined],
  ["::", "::"],
  ["::1", "::1"],
  ["1::", "1::"],
  ["2001:DB8::1", "2001:db8::1"],
  ["2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["0:0:1:2:3:4:5:6", "::1:2:3:4:5:6"],
  ["1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["::ffff:10.1.2.3", "10.1.2.3"],
  ["::ffff:a01:203", "10.1.2.3"],
  ["::10.1.2.3", "::a01:203"],
  ["64:ff9b::10.1.2.3", "64:ff9b::a01:203"],
  ["1:2:3:4:5:6:7", undefined],
  ["1:2:3:4:5:6:7:8:9", undefined],
  ["1::2::3", undefined],
  [":1:2:3:4:5:6:7", undefined],
  ["1:2:3:4:5:6:7:", undefined],
  [":::", undefined],
  [":", undefined],
  ["12345::", undefined],
  ["g::", undefined],
  ["1.2.3.4::", undefined],
  ["::1.2.3.4:5", undefined],
  ["fe80::1%eth0", undefined],
  ["[::1]", undefined],
  ["1:2:3:4:5:6:7:8::", undefined],
];

for (const [text, expected] of canonical) {
  test(`parseIp() makes ${JSON.stringify(text)} ${expected ?? "undefined"}`, () => {
    assert.equal(parseIp(text), expected);
  });
}

test("parseIp() accepts what the runtime's own parser accepts, zones aside", () => {
  for (const [text] of canonical) {
    if (text.includes("%")) continue;
    assert.equal(parseIp(text) !== undefined, isIPv4(text) || isIPv6(text), text);
  }
});

test("ipFromBytes() and ipToBytes() are inverse for every address that is not mapped", () => {
  for (let i = 0; i < 500; i++) {
    const length = i % 2 === 0 ? 4 : 16;
    const bytes = Uint8Array.from({ length }, (_, j) => ((i * 31 + j * 7) % 3 === 0 ? 0 : (i * 131 + j * 53) & 0xff));
    const address = ipFromBytes(bytes);
    assert.ok(address !== undefined);
    assert.deepEqual([...ipToBytes(address)], [...bytes]);
    assert.equal(parseIp(address), address);
    assert.equal(ipFamily(address), length === 4 ? 4 : 6);
  }
});

test("ipFromBytes() folds mapped addresses and refuses other lengths", () => {
  assert.equal(ipFromBytes(Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 1, 2, 3])), "10.1.2.3");
  for (const length of [0, 1, 3, 5, 15, 17]) assert.equal(ipFromBytes(new Uint8Array(length)), undefined);
});

test("ipToBytes() throws for text that was never an address", () => {
  assert.throws(() => ipToBytes("nonsense" as IpAddress), RangeError);
});

test("isLoopback() knows the whole IPv4 block and the one IPv6 address", () => {
  for (const text of ["127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1"]) assert.equal(isLoopback(address(text)), true, text);
  for (const text of ["128.0.0.1", "10.127.0.1", "::2", "::"]) assert.equal(isLoopback(address(text)), false, text);
});

const socketAddresses: readonly [text: string, expected: string | undefined][] = [
  ["1.2.3.4:80", "1.2.3.4:80"],
  ["[::1]:80", "[::1]:80"],
  ["[2001:DB8::0]:65535", "[2001:db8::]:65535"],
  ["[::ffff:1.2.3.4]:80", "1.2.3.4:80"],
  ["1.2.3.4", undefined],
  ["1.2.3.4:", undefined],
  ["1.2.3.4:65536", undefined],
  ["1.2.3.4:080000", undefined],
  ["1.2.3.4:-1", undefined],
  ["::1:80", undefined],
  ["[1.2.3.4:80", undefined],
  ["localhost:80", undefined],
];

for (const [text, expected] of socketAddresses) {
  test(`parseSocketAddress() makes ${text} ${expected ?? "undefined"}`, () => {
    const parsed = parseSocketAddress(text);
    assert.equal(parsed === undefined ? undefined : formatSocketAddress(parsed), expected);
  });
}

const cidrs: readonly [text: string, expected: string | undefined][] = [
  ["10.0.0.0/8", "10.0.0.0/8"],
  ["10.0.0.1", "10.0.0.1/32"],
  ["::1", "::1/128"],
  ["0.0.0.0/0", "0.0.0.0/0"],
  ["fd00::/129", undefined],
  ["10.0.0.0/33", undefined],
  ["10.0.0.0/", undefined],
  ["10.0.0.0/-1", undefined],
  ["10.0.0.0/8/8", undefined],
  ["10.0.0.0/0x8", undefined],
  ["/8", undefined],
  ["::ffff:10.0.0.0/104", "10.0.0.0/8"],
  ["::ffff:10.0.0.0/128", "10.0.0.0/32"],
  ["::ffff:10.0.0.0/95", undefined],
  ["::ffff:10.0.0.1", "10.0.0.1/32"],
];

for (const [text, expected] of cidrs) {
  test(`parseCidr() makes ${text} ${expected ?? "undefined"}`, () => {
    const parsed = parseCidr(text);
    assert.equal(parsed === undefined ? undefined : formatCidr(parsed), expected);
  });
}

const containments: readonly [block: string, inside: readonly string[], outside: readonly string[]][] = [
  ["10.1.2.3", ["10.1.2.3"], ["10.1.2.2", "10.1.2.4", "::a01:203"]],
  ["10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]],
  ["10.1.2.128/25", ["10.1.2.128", "10.1.2.255"], ["10.1.2.127", "10.1.3.128"]],
  ["10.1.2.3/9", ["10.0.0.0", "10.127.255.255"], ["10.128.0.0"]],
  ["0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "fd00::1"]],
  ["::/0", ["::", "fd00::1"], ["0.0.0.0"]],
  ["fd00::/8", ["fdff:ffff::1"], ["fe00::1"]],
  ["fd00::8/125", ["fd00::8", "fd00::f"], ["fd00::7", "fd00::10"]],
];

for (const [block, inside, outside] of containments) {
  test(`cidrContains() draws the borders of ${block}`, () => {
    const cidr = parseCidr(block);
    assert.ok(cidr !== undefined);
    for (const text of inside) assert.equal(cidrContains(cidr, address(text)), true, text);
    for (const text of outside) assert.equal(cidrContains(cidr, address(text)), false, text);
  });
}

function address(text: string): IpAddress {
  const parsed = parseIp(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
}
