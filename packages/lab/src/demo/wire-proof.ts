// What the wire between the nodes shows of a request with a marked text.
import { randomBytes } from "node:crypto";
import { gatherEvidence } from "@ambit/wire";
import type { ProveReport } from "../api/contract.ts";
import { labError } from "../errors.ts";
import { NAMESPACE, podsOf, type Stage } from "./stage.ts";

export interface WireProof extends ProveReport {
  /** `traffic → details.bookinfo, node-a to node-b`. */
  readonly request: string;
  /** What was captured, one line per connection. */
  readonly lines: readonly string[];
}

/** One request that must cross the wire: between two pods of Bookinfo on different nodes. */
export async function proveFrom(stage: Stage): Promise<WireProof> {
  const { source, service, nodes } = await crossingPath(stage);
  const url = `http://${service}.${NAMESPACE}:9080/${service}/0`;
  const report = await stage.client.prove({ namespace: NAMESPACE, pod: source, url });
  return {
    ...report,
    request: `${source.split("-")[0]} → ${service}.${NAMESPACE}, ${nodes.join(" to ")}`,
    lines: [...report.connections.map(describe), ...report.notes],
  };
}

/** Services with one pod each, so that it is known where a call goes. */
const SERVICES = ["details", "ratings"];

async function crossingPath(stage: Stage) {
  const pods = await podsOf(stage, NAMESPACE);
  for (const service of SERVICES) {
    const target = pods.find(({ name }) => name.startsWith(`${service}-`));
    const source = pods.find(({ name, node }) => /^(productpage|reviews)-/.test(name) && node !== target?.node);
    if (target !== undefined && source !== undefined) {
      return { source: source.name, service, nodes: [source.node, target.node] };
    }
  }
  throw labError("LAB_DEMO_FAILED", "All of Bookinfo runs on one node, so that nothing crosses the wire");
}

function describe({
  source,
  destination,
  kind,
  cipherSuite,
  alpn,
  clientIdentity,
  serverIdentity,
  bytesUp,
  bytesDown,
}: ProveReport["connections"][number]): string {
  const ends = `${source.ip} → ${destination.ip}:${destination.port}`;
  const bytes = `${bytesUp} bytes there, ${bytesDown} back`;
  if (kind !== "tls13") return `${ends}  ${kind}, ${bytes}`;
  const who = `from ${clientIdentity ?? "nobody"} to ${serverIdentity ?? "nobody"}`;
  return `${ends}  TLS 1.3 ${cipherSuite ?? ""} ${alpn ?? ""}, ${bytes}, ${who}`;
}

export interface WatchedWire {
  /** To be put into requests. */
  readonly marker: string;
  end(): Promise<{ readonly frames: number; readonly isMarkerReadable: boolean }>;
}

const WATCH_SECONDS = 60;

/** Captures everything between the nodes until `end`. */
export async function watchWire({ client }: Stage, node: string): Promise<WatchedWire> {
  const marker = `ambit-demo-${randomBytes(12).toString("hex")}`;
  const finish = await client.capture({ node, seconds: WATCH_SECONDS });
  return {
    marker,
    async end() {
      const { frames, dropped } = await finish();
      if (dropped > 0)
        throw labError("LAB_DEMO_FAILED", `${dropped} packets were missed by the capture; nothing can be said of them`);
      const evidence = gatherEvidence(frames, new Map(), { marker: Buffer.from(marker), since: 0 });
      const isMarkerReadable =
        evidence.isMarkerInOtherFrames || evidence.connections.some(({ containsMarker }) => containsMarker);
      return { frames: frames.length, isMarkerReadable };
    },
  };
}
