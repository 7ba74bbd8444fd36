// The cluster of the recording: its objects as an API server would hold them, and what istiod sent for them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL, decodeAddress, decodeAuthorization } from "@ambit/api";
import { ipToBytes, parseIp } from "@ambit/core";
import { fromJson, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { parseAllDocuments } from "yaml";
import { AuthorizationSchema } from "../../../api/src/gen/authorization_pb.js";
import { AddressSchema } from "../../../api/src/gen/workload_pb.js";
import type { Resource } from "../resource.ts";

const DIRECTORY = join(import.meta.dirname, "../testdata");

export interface RecordedResource {
  readonly typeUrl: Resource["typeUrl"];
  readonly name: string;
  readonly value: Resource["value"];
}

export interface RecordedChange {
  readonly change: string;
  readonly removed: readonly string[];
  readonly resources: readonly RecordedResource[];
}

/** An object as a file has it; its kind's schema checks the rest. */
export interface RecordedObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

interface ResourceLine {
  readonly type: string;
  readonly name: string;
  readonly message: JsonObject & { readonly service?: { readonly addresses?: readonly { readonly address: string }[] } };
}

interface ChangeLine {
  readonly change: string;
  readonly pushes: readonly {
    readonly type: string;
    readonly removed: readonly string[];
    readonly resources: readonly Omit<ResourceLine, "type">[];
  }[];
}

export function recordedResources(): RecordedResource[] {
  return readLines<ResourceLine>("initial.jsonl").map(({ type, name, message }) => recorded(type, name, message));
}

export function recordedChanges(): RecordedChange[] {
  return readLines<ChangeLine>("changes.jsonl").map(({ change, pushes }) => ({
    change,
    removed: pushes.flatMap(({ removed }) => removed),
    resources: pushes.flatMap(({ type, resources }) => resources.map(({ name, message }) => recorded(type, name, message))),
  }));
}

/** The objects, with what the API server, its controllers and istiod had added to them. */
export function recordedObjects(): RecordedObject[] {
  const yaml = parseAllDocuments(readFileSync(join(DIRECTORY, "waypoint-objects.yaml"), "utf8")).map(
    (item): RecordedObject => item.toJS(),
  );
  return [...readLines<RecordedObject>("objects.jsonl"), ...yaml, ...apiServerObjects()].map((object) => {
    if (object.kind === "Service") return withClusterAddress(object);
    const { name, namespace } = object.metadata;
    if (object.kind === "Gateway")
      return { ...object, status: { addresses: [{ type: "Hostname", value: `${name}.${namespace}.svc.cluster.local` }] } };
    if (object.kind === "Pod" && name.startsWith("waypoint-"))
      return {
        ...object,
        status: { phase: "Running", podIPs: [{ ip: "10.244.2.30" }], conditions: [{ type: "Ready", status: "True" }] },
      };
    if (object.kind === "ServiceEntry" && name === "ext-dns") {
      const host = "www.example.org";
      return { ...object, status: { addresses: ["240.240.0.1", "2001:2::1"].map((value) => ({ value, host })) } };
    }
    return object;
  });
}

/** Objects that every cluster has. */
function apiServerObjects(): RecordedObject[] {
  const core = { apiVersion: "v1" };
  const metadata = { name: "kubernetes", namespace: "default" };
  const kubernetesSlice = {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { ...metadata, labels: { "kubernetes.io/service-name": "kubernetes" } },
    addressType: "IPv4",
    endpoints: [{ addresses: ["10.97.0.1"], conditions: { ready: true } }],
    ports: [{ name: "https", port: 6443, protocol: "TCP" }],
  };
  return [
    { ...core, kind: "Namespace", metadata: { name: "default", namespace: "" } },
    { ...core, kind: "Service", metadata, spec: { ports: [{ name: "https", port: 443, targetPort: 6443 }] } },
    kubernetesSlice,
  ];
}

function withClusterAddress(object: RecordedObject): RecordedObject {
  const { metadata, spec } = object;
  const hostname = `${metadata.namespace}/${metadata.name}.${metadata.namespace}.svc.cluster.local`;
  const known = readLines<ResourceLine>("initial.jsonl").find(({ name }) => name === hostname);
  const address = known?.message.service?.addresses?.[0]?.address;
  return { ...object, spec: { ipFamilies: ["IPv4"], ...(address === undefined ? {} : { clusterIP: address }), ...spec } };
}

function recorded(type: string, name: string, message: JsonObject): RecordedResource {
  const json = withAddressBytes(message) as JsonObject;
  if (type === "Address") {
    const value = decodeAddress(toBinary(AddressSchema, fromJson(AddressSchema, json)));
    return { typeUrl: ADDRESS_TYPE_URL, name, value };
  }
  const value = decodeAuthorization(toBinary(AuthorizationSchema, fromJson(AuthorizationSchema, json)));
  return { typeUrl: AUTHORIZATION_TYPE_URL, name, value };
}

/** The recording has addresses as text where the messages have bytes. */
function withAddressBytes(value: unknown, key = ""): unknown {
  if (typeof value === "string") return key === "address" || key === "addresses" ? bytesText(value) : value;
  if (Array.isArray(value)) return value.map((item) => withAddressBytes(item, key));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withAddressBytes(inner, name)]));
}

function bytesText(text: string): string {
  const ip = parseIp(text);
  if (ip === undefined) throw new TypeError(`Not an address: ${text}`);
  return Buffer.from(ipToBytes(ip)).toString("base64");
}

function readLines<Line>(name: string): Line[] {
  return readFileSync(join(DIRECTORY, name), "utf8")
    .trim()
    .split("\n")
    .map((line): Line => JSON.parse(line));
}
