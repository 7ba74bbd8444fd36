import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodUid } from "@ambit/core";
import { authorization, clause, gateway, identity, service, workload } from "@ambit/testkit";
import { create, toBinary } from "@bufbuild/protobuf";
import { decodeAddress, encodeAddress } from "./address-codec.ts";
import { decodeAuthorization, encodeAuthorization } from "./authorization-codec.ts";
import { AuthorizationSchema } from "./gen/authorization_pb.js";
import { AddressSchema, TunnelProtocol } from "./gen/workload_pb.js";
import {
  decodeZdsAck,
  decodeZdsHello,
  decodeZdsRequest,
  encodeZdsAck,
  encodeZdsHello,
  encodeZdsRequest,
  type ZdsRequest,
} from "./zds-codec.ts";

const someWorkload = workload()
  .named("reviews-v1")
  .inNamespace("bookinfo")
  .as("bookinfo-reviews")
  .onNode("n1")
  .at("10.0.0.1", "fd00::1")
  .inLocality("r1", "z1")
  .behind(gateway("bookinfo/waypoint.bookinfo.svc.cluster.local"))
  .serving("bookinfo/reviews.bookinfo.svc.cluster.local", { 80: 9080, 81: 9081 })
  .underPolicies("bookinfo/viewer")
  .unhealthy()
  .with({ capacity: 7, applicationTunnel: { protocol: "proxy", port: 15088 }, networkMode: "hostNetwork" })
  .build();

const someService = service()
  .named("reviews")
  .inNamespace("bookinfo")
  .at("10.96.0.1", "net1@10.96.0.0/24")
  .onPorts({ 9080: 0 })
  .balanced("failover", "network", "region", "zone")
  .with({
    subjectAltNames: [identity("bookinfo", "x")],
    weightedWaypoints: [{ destination: gateway("net1/10.0.0.9"), weight: 3 }],
    visibility: "namespace",
  })
  .build();

test("decodeAddress() gives back the workload that encodeAddress() was given", () => {
  assert.deepEqual(decodeAddress(encodeAddress({ kind: "workload", workload: someWorkload })), {
    kind: "workload",
    workload: someWorkload,
  });
});

test("decodeAddress() gives back the service that encodeAddress() was given", () => {
  assert.deepEqual(decodeAddress(encodeAddress({ kind: "service", service: someService })), {
    kind: "service",
    service: someService,
  });
});

test("encodeAddress() gives equal bytes for maps filled in another order", () => {
  const entries = [...someWorkload.services, ["bookinfo/a.example" as never, new Map([[1, 2]])] as const];
  const forwards = { ...someWorkload, services: new Map(entries) };
  const backwards = { ...someWorkload, services: new Map([...entries].reverse()) };
  assert.deepEqual(
    encodeAddress({ kind: "workload", workload: forwards }),
    encodeAddress({ kind: "workload", workload: backwards }),
  );
});

function addressBytes(type: NonNullable<Parameters<typeof create<typeof AddressSchema>>[1]>["type"]): Uint8Array {
  return toBinary(AddressSchema, create(AddressSchema, { type: type as never }));
}

test("decodeAddress() refuses a workload whose value has no meaning, and names the field", () => {
  const refused = (value: object, path: RegExp) =>
    assert.throws(() => decodeAddress(addressBytes({ case: "workload", value: { uid: "u", ...value } } as never)), path);
  refused({ uid: "" }, /workload\.uid/);
  refused({ addresses: [new Uint8Array(5)] }, /workload\.addresses\[0\]/);
  refused({ tunnelProtocol: TunnelProtocol.LEGACY_ISTIO_MTLS }, /workload\.tunnel_protocol/);
  refused({ status: 9 }, /workload\.status/);
  refused({ services: { s: { ports: [{ servicePort: 70000 }] } } }, /services\[s\]\.ports\[0\]\.service_port/);
});

test("decodeAddress() refuses a service whose SAN is no identity, and takes an unknown visibility for public", () => {
  const bytes = (value: object) => addressBytes({ case: "service", value: { hostname: "h", ...value } } as never);
  assert.throws(() => decodeAddress(bytes({ subjectAltNames: ["spiffe://x"] })), /subject_alt_names\[0\]/);
  const decoded = decodeAddress(bytes({ visibility: 9 }));
  assert.equal(decoded.kind === "service" && decoded.service.visibility, "public");
});

test("decodeAddress() refuses bytes that are no message", () => {
  assert.throws(() => decodeAddress(new Uint8Array([0xff, 0xff])), { code: "API_MESSAGE_UNDECODABLE" });
  assert.throws(() => decodeAddress(new Uint8Array()), /neither workload nor service/);
});

test("decodeAuthorization() gives back the policy that encodeAuthorization() was given", () => {
  const policy = authorization()
    .named("viewer")
    .inNamespace("bookinfo")
    .denying()
    .forSelector()
    .asDryRun()
    .rule(
      clause(
        { principals: ["cluster.local/ns/x/sa/y", "*"], notNamespaces: ["a*", "*b"], serviceAccounts: ["ns/sa"] },
        {
          sourceIps: ["10.0.0.0/8", "fd00::/16"],
          notDestinationIps: ["192.0.2.1"],
          destinationPorts: [80],
          notDestinationPorts: [22],
        },
      ),
    )
    .build();
  assert.deepEqual(decodeAuthorization(encodeAuthorization(policy)), policy);
});

test("decodeAuthorization() refuses what would widen the policy if it were dropped", () => {
  const refused = (match: object, path: RegExp) => {
    const message = create(AuthorizationSchema, { name: "p", rules: [{ clauses: [{ matches: [match] }] }] } as never);
    assert.throws(() => decodeAuthorization(toBinary(AuthorizationSchema, message)), path);
  };
  refused({ sourceIps: [{ address: new Uint8Array(3), length: 8 }] }, /source_ips\[0\]/);
  refused({ sourceIps: [{ address: new Uint8Array(4), length: 33 }] }, /prefix length 33/);
  refused({ destinationPorts: [65536] }, /destination_ports\[0\]: 65536 is not a port/);
  refused({ principals: [{}] }, /principals\[0\]/);
  refused({ extensions: [{ name: "x" }] }, /extensions: x is not supported/);
});

test("decodeZdsRequest() gives back every kind of request", () => {
  const requests: ZdsRequest[] = [
    { kind: "add", uid: "u1" as PodUid, info: { name: "a", namespace: "b", serviceAccount: "c" } },
    { kind: "add", uid: "u1" as PodUid, info: undefined },
    { kind: "keep", uid: "u2" as PodUid },
    { kind: "del", uid: "u3" as PodUid },
    { kind: "snapshotSent" },
  ];
  for (const request of requests) assert.deepEqual(decodeZdsRequest(encodeZdsRequest(request)), request);
});

test("decodeZdsAck() gives the error text, and decodeZdsHello() refuses another version", () => {
  assert.equal(decodeZdsAck(encodeZdsAck("")), "");
  assert.equal(decodeZdsAck(encodeZdsAck("no such netns")), "no such netns");
  decodeZdsHello(encodeZdsHello());
  assert.throws(() => decodeZdsHello(new Uint8Array([8, 9])), /version/);
});
