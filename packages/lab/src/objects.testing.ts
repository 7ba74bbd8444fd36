// For tests: Kubernetes objects in memory, decoded as the real source decodes them.
import { decodeObject, type KubeObject, type ObjectSource } from "@ambit/kube";

export type RawObject = Readonly<Record<string, unknown>>;

export function sourceOf(...objects: readonly RawObject[]): Pick<ObjectSource, "list" | "get"> {
  const decoded = objects.map((object): KubeObject => {
    const result = decodeObject(object);
    if (result.kind === "object") return result.object;
    throw new Error(`not an object: ${JSON.stringify(result)}`);
  });
  return {
    list: (kind) => decoded.filter((object) => object.kind === kind),
    get: (kind, namespace, name) =>
      decoded.find((object) => object.kind === kind && object.metadata.namespace === namespace && object.metadata.name === name),
  };
}

export const namespace = (name: string): RawObject => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });

export interface PodShape {
  readonly labels?: Readonly<Record<string, string>>;
  readonly node?: string;
  readonly ip?: string;
  readonly ready?: boolean;
  readonly metadata?: RawObject;
  readonly spec?: RawObject;
}

export function pod(name: string, { labels = {}, node, ip, ready = true, metadata = {}, spec = {} }: PodShape = {}): RawObject {
  const ips = ip === undefined ? {} : { podIP: ip, podIPs: [{ ip }, { ip: `fd00::${ip.split(".")[3]}` }] };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "shop", uid: `uid-${name}`, labels, ...metadata },
    spec: {
      containers: [{ name: "c", ports: [{ name: "http", containerPort: 8080 }] }],
      ...(node === undefined ? {} : { nodeName: node }),
      ...spec,
    },
    status: { phase: "Running", ...ips, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  };
}

export function service(name: string, spec: RawObject): RawObject {
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace: "shop" }, spec };
}

export function deployment(name: string, replicas: number, image = "ambit/machine"): RawObject {
  const labels = { app: name };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "shop" },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "c", image }] } },
    },
  };
}
