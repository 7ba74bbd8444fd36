// Proves one path: captures while a pod makes a marked request, and reads from the captured bytes what the path is.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { CapturedPacket } from "@ambit/linux";
import { type Evidence, gatherEvidence, parseKeyLog } from "@ambit/wire";
import type { ProveReport, ProveRequest } from "../api/contract.ts";
import { labError, messageOf } from "../errors.ts";
import { type CapturePlace, PlacesCapture } from "./capture-places.ts";
import { joinPlaces, judgePath, type RequestPath } from "./path.ts";
import { parseOutcome, type RequestOutcome, requestCommand } from "./request-outcome.ts";

export interface ProveDeps {
  /** Devices between the nodes. */
  readonly wire: readonly CapturePlace[];
  /** The node's end of the asking pod's cable. */
  readonly cable: CapturePlace;
  readonly sourceIps: readonly string[];
  /** Nodes whose proxies are asked for handshake secrets; empty without a mesh. */
  readonly nodes: readonly string[];
  /** The node proxy's admin port. */
  admin(node: string, method: "GET" | "POST", path: string): Promise<{ readonly status: number; readonly body: string }>;
  /** Runs a command in the asking pod. */
  exec(command: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }>;
  /** The endpoints behind an address that was dialled; itself when it is no Service's. */
  endpointsOf(ip: string, port: number): RequestPath["endpoints"];
}

const SECRETS_PATH = "/debug/handshake_secrets";
const COLLECT_SECONDS = 20;
type Place = "wire" | "cable";
/** Secrets may come later than the answer, and other connections of the pod may still be shaking hands. */
const LOOKS = 10;
const LOOK_AGAIN_MS = 100;

/** @throws LAB_REQUEST_INVALID for a URL that is neither http nor tcp with a port */
export async function prove(request: Pick<ProveRequest, "url">, deps: ProveDeps): Promise<ProveReport> {
  const marker = `ambit-proof-${randomBytes(12).toString("hex")}`;
  const url = markedUrl(request.url, marker);
  const notes = await collectSecrets(deps);
  const wire = new PlacesCapture(deps.wire);
  let cable: PlacesCapture | undefined;
  try {
    cable = new PlacesCapture([deps.cable]);
    const since = Date.now();
    const { stdout, stderr } = await deps.exec(requestCommand(url));
    const outcome = parseOutcome(stdout);
    if (outcome === undefined)
      throw labError("LAB_PROOF_FAILED", `The request could not be made in the pod: ${(stderr || stdout).trim()}`);
    const path = requestPath(deps, outcome, Date.now());
    const frames: Record<Place, CapturedPacket[]> = { wire: [], cable: [] };
    for (let look = 1; ; look++) {
      frames.wire.push(...wire.read());
      frames.cable.push(...cable.read());
      const dropped = { wire: wire.dropped, cable: cable.dropped };
      const secrets = parseKeyLog(await secretLines(deps));
      const gather = (place: Place) => gatherEvidence(frames[place], secrets, { marker: Buffer.from(marker), since });
      const evidence = { wire: gather("wire"), cable: gather("cable") };
      const report = reportOf({ request, marker, outcome, notes, evidence, dropped, path });
      if (report.isEncrypted || look === LOOKS || deps.nodes.length === 0) return report;
      await sleep(LOOK_AGAIN_MS);
    }
  } finally {
    wire.close();
    cable?.close();
  }
}

interface Findings {
  readonly request: Pick<ProveRequest, "url">;
  readonly marker: string;
  readonly outcome: RequestOutcome;
  readonly notes: readonly string[];
  readonly evidence: Readonly<Record<Place, Evidence>>;
  readonly dropped: Readonly<Record<Place, number>>;
  readonly path: RequestPath;
}

function reportOf({ request, marker, outcome, notes, evidence, dropped, path }: Findings): ProveReport {
  const { connections, crossesWire } = joinPlaces(evidence, path);
  const places = (["wire", "cable"] as const).map((place) => ({ evidence: evidence[place], dropped: dropped[place] }));
  const verdict = judgePath(places, connections);
  const isProven = outcome.isAnswered && verdict.isEncrypted && verdict.isMarkerAbsent;
  return {
    url: request.url,
    marker,
    isAnswered: outcome.isAnswered,
    answer: outcome.answer,
    capturedOn: crossesWire ? "wire" : "cable",
    isProven,
    ...verdict,
    clientIdentity: verdict.clientIdentity ?? null,
    serverIdentity: verdict.serverIdentity ?? null,
    connections: verdict.connections.map((connection) => ({
      ...connection,
      cipherSuite: connection.cipherSuite ?? null,
      serverName: connection.serverName ?? null,
      alpn: connection.alpn ?? null,
      clientIdentity: connection.clientIdentity ?? null,
      serverIdentity: connection.serverIdentity ?? null,
    })),
    notes: [...notes, ...verdict.notes, ...(outcome.isAnswered ? [] : [`the request was not answered: ${outcome.answer}`])],
  };
}

function requestPath(deps: ProveDeps, { remoteIp, remotePort, localPort }: RequestOutcome, endedMs: number): RequestPath {
  return {
    endedMs,
    sourceIps: deps.sourceIps,
    localPort,
    dialledIp: remoteIp,
    endpoints: remoteIp === "" ? [] : deps.endpointsOf(remoteIp, remotePort),
  };
}

/** A query parameter for HTTP; for TCP the query is all that is sent. */
function markedUrl(text: string, marker: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (
    url === undefined ||
    (url.protocol !== "http:" && url.protocol !== "tcp:") ||
    (url.protocol === "tcp:" && url.port === "")
  ) {
    throw labError("LAB_REQUEST_INVALID", `${text} is not http://HOST[:PORT]/PATH or tcp://HOST:PORT`);
  }
  url.search = url.search === "" ? marker : `${url.search.slice(1)}&${marker}`;
  return url.href;
}

/** Proxies that are down are noted: without their secrets a path may be TLS, but nobody's identity is shown. */
async function collectSecrets({ nodes, admin }: ProveDeps): Promise<string[]> {
  const answers = await Promise.allSettled(
    nodes.map((node) => admin(node, "POST", `${SECRETS_PATH}?seconds=${COLLECT_SECONDS}`)),
  );
  return answers.flatMap((answer, i) => {
    if (answer.status === "fulfilled" && answer.value.status === 200) return [];
    const why =
      answer.status === "rejected" ? messageOf(answer.reason) : `status ${answer.value.status}: ${answer.value.body.trim()}`;
    return [`the node proxy on ${nodes[i]} gives no handshake secrets: ${why}`];
  });
}

async function secretLines({ nodes, admin }: ProveDeps): Promise<string> {
  const answers = await Promise.allSettled(nodes.map((node) => admin(node, "GET", SECRETS_PATH)));
  // Who is down has been noted when the collecting began.
  return answers
    .map((answer) => (answer.status === "fulfilled" && answer.value.status === 200 ? answer.value.body : ""))
    .join("\n");
}
