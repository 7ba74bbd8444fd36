import assert from "node:assert/strict";
import test from "node:test";
import { DeltaDiscoveryResponseSchema, NodeSchema } from "@ambit/api";
import { create } from "@bufbuild/protobuf";
import { Subscription } from "./subscription.ts";

const TYPE = "type.test/Thing";
const node = create(NodeSchema, { id: "me" });
const wildcard = () => new Subscription<string>({ typeUrl: TYPE, decode, onDemand: false });
const onDemand = () => new Subscription<string>({ typeUrl: TYPE, decode, onDemand: true });

function decode(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString();
  if (text.startsWith("bad")) throw new Error(`${text} is bad`);
  return text;
}
function answer(
  resources: readonly (readonly [name: string, version: string, content: string])[],
  removedResources: string[] = [],
) {
  return create(DeltaDiscoveryResponseSchema, {
    typeUrl: TYPE,
    nonce: "n1",
    removedResources,
    resources: resources.map(([name, version, content]) => ({
      name,
      version,
      resource: { typeUrl: TYPE, value: Buffer.from(content) },
    })),
  });
}

test("initialRequest() is a wildcard with the versions held", () => {
  const subscription = wildcard();
  subscription.receive(
    answer([
      ["a", "1", "x"],
      ["b", "1", "y"],
    ]),
  );
  subscription.receive(answer([["a", "2", "z"]], ["b"]));
  const request = subscription.initialRequest(node);
  assert.deepEqual([request.typeUrl, request.node?.id, request.responseNonce], [TYPE, "me", ""]);
  assert.deepEqual([request.resourceNamesSubscribe, request.resourceNamesUnsubscribe], [[], []]);
  assert.deepEqual(request.initialResourceVersions, { a: "2" });
});

test("receive() acks with the nonce and gives what changed", () => {
  const { answer: ack, changes, refused } = wildcard().receive(answer([["a", "1", "x"]], ["gone"]));
  assert.deepEqual([ack.typeUrl, ack.responseNonce, ack.errorDetail], [TYPE, "n1", undefined]);
  assert.deepEqual(changes, { upserts: [{ name: "a", resource: "x" }], removals: ["gone"] });
  assert.deepEqual(refused, []);
});

test("receive() keeps the good, names the bad, and remembers no version of it", () => {
  const subscription = wildcard();
  const { answer: nack, changes } = subscription.receive(
    answer([
      ["a", "1", "bad1"],
      ["b", "1", "y"],
      ["c", "1", "bad2"],
    ]),
  );
  assert.deepEqual(
    [nack.responseNonce, nack.errorDetail?.code, nack.errorDetail?.message],
    ["n1", 0, "a: bad1 is bad; c: bad2 is bad"],
  );
  assert.deepEqual(changes.upserts, [{ name: "b", resource: "y" }]);
  assert.deepEqual(subscription.initialRequest(node).initialResourceVersions, { b: "1" });
});

test("receive() keeps the version held when a newer one is refused", () => {
  const subscription = wildcard();
  subscription.receive(answer([["a", "1", "x"]]));
  subscription.receive(answer([["a", "2", "bad"]]));
  assert.deepEqual(subscription.initialRequest(node).initialResourceVersions, { a: "1" });
});

test("receive() refuses resources without content or of another type", () => {
  const response = create(DeltaDiscoveryResponseSchema, {
    typeUrl: TYPE,
    resources: [{ name: "a" }, { name: "b", resource: { typeUrl: "type.test/Other", value: new Uint8Array() } }],
  });
  const { answer: nack } = wildcard().receive(response);
  assert.equal(nack.errorDetail?.message, "a: has no content; b: is of type type.test/Other");
});

test("demand() asks once for each name, on every new stream again", () => {
  const subscription = onDemand();
  assert.deepEqual(subscription.demand(["a", "b", "a"])?.resourceNamesSubscribe, ["a", "b"]);
  assert.equal(subscription.demand(["a"]), undefined);
  const request = subscription.initialRequest(node);
  assert.deepEqual([request.resourceNamesSubscribe, request.resourceNamesUnsubscribe], [["*", "a", "b"], ["*"]]);
});

test("release() takes names back and forgets their versions", () => {
  const subscription = onDemand();
  subscription.demand(["a", "b"]);
  subscription.receive(
    answer([
      ["a", "1", "x"],
      ["b", "1", "y"],
    ]),
  );
  assert.deepEqual(subscription.release(["a", "c"])?.resourceNamesUnsubscribe, ["a"]);
  assert.equal(subscription.release(["a"]), undefined);
  const request = subscription.initialRequest(node);
  assert.deepEqual([request.resourceNamesSubscribe, request.initialResourceVersions], [["*", "b"], { b: "1" }]);
});
