import assert from "node:assert/strict";
import { test } from "node:test";
import { identity, socketAddress } from "@ambit/testkit";
import { proxyHeader } from "./proxy-header.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const SIGNATURE = "0d0a0d0a000d0a515549540a";

test("proxyHeader() writes version 2 for IPv4 with the peer's identity as TLV 0xD0", () => {
  const header = proxyHeader(socketAddress("10.1.2.3:4660"), socketAddress("10.9.8.7:80"), identity("a", "b"));
  const name = Buffer.from("spiffe://cluster.local/ns/a/sa/b");
  const tlv = `d000${name.length.toString(16).padStart(2, "0")}${name.toString("hex")}`;
  const length = (12 + 3 + name.length).toString(16).padStart(4, "0");
  assert.equal(hex(header), `${SIGNATURE}2111${length}0a0102030a09080712340050${tlv}`);
});

test("proxyHeader() writes IPv6, and both addresses as IPv6 when the families differ", () => {
  const v6 = proxyHeader(socketAddress("[fd00::1]:1"), socketAddress("[fd00::2]:2"), undefined);
  const zeros = "0".repeat(24);
  assert.equal(hex(v6), `${SIGNATURE}21210024fd00${zeros}0001fd00${zeros}000200010002`);
  const mixed = proxyHeader(socketAddress("10.0.0.1:1"), socketAddress("[fd00::2]:2"), undefined);
  assert.equal(hex(mixed), `${SIGNATURE}2121002400000000000000000000ffff0a000001fd00${zeros}000200010002`);
});
