// Which of the captured connections carried a request, and what they show together.
import { INBOUND_HBONE_PORT } from "@ambit/core";
import type { ConnectionEvidence, Evidence } from "@ambit/wire";

export interface RequestPath {
  /** Addresses of the pod that asks. */
  readonly sourceIps: readonly string[];
  /** Port of the application's own connection: what leaves the pod unchanged has it still. */
  readonly localPort: number;
  /** When the request was over: it was not carried by what was opened later. */
  readonly endedMs: number;
  /** What was dialled, empty when nothing was, and the endpoints behind it when it is a Service. */
  readonly dialledIp: string;
  readonly endpoints: readonly { readonly ip: string; readonly port: number }[];
}

/** Frames of one place, already judged. */
export interface PlaceEvidence {
  readonly evidence: Evidence;
  readonly dropped: number;
}

export interface PathVerdict {
  /** Every connection of the path is TLS 1.3 and both its ends have proved an identity. */
  readonly isEncrypted: boolean;
  /** Nothing that was captured holds the marker, and nothing was lost that might. */
  readonly isMarkerAbsent: boolean;
  readonly isMarkerReadable: boolean;
  /** Who began the path, and who ended it. */
  readonly clientIdentity: string | undefined;
  readonly serverIdentity: string | undefined;
  readonly connections: readonly ConnectionEvidence[];
  /** What stands against the verdict. */
  readonly notes: readonly string[];
}

/** Connections in the order of the path: first those out of the source, then those out of a waypoint that it went to. */
export function pathConnections(evidence: Evidence, path: RequestPath): readonly ConnectionEvidence[] {
  const connections = evidence.connections.filter(({ firstAtMs, containsMarker }) => firstAtMs <= path.endedMs || containsMarker);
  const endpointIps = new Set(path.endpoints.map(({ ip }) => ip));
  const fromSource = connections.filter(({ source }) => path.sourceIps.includes(source.ip));
  const tunnels = fromSource.filter(isTunnel);
  const toEndpoints = tunnels.filter(({ destination }) => endpointIps.has(destination.ip));
  const direct = fromSource.filter(
    ({ source, destination }) =>
      source.port === path.localPort && (destination.ip === path.dialledIp || endpointIps.has(destination.ip)),
  );
  // Wherever it was readable it has been, whoever sent it there.
  const readable = connections.filter(({ containsMarker }) => containsMarker);
  if (path.dialledIp === "" || toEndpoints.length > 0 || direct.length > 0)
    return unique([...begun(toEndpoints), ...direct, ...readable]);
  const waypoints = new Set(tunnels.map(({ destination }) => destination.ip));
  const onward = connections.filter(
    (connection) => isTunnel(connection) && waypoints.has(connection.source.ip) && endpointIps.has(connection.destination.ip),
  );
  return unique([...begun(tunnels), ...begun(onward), ...readable]);
}

/**
 * The source's cable shows everything that leaves it, the wire what goes on to other nodes: there each connection counts
 * as it was on the wire where it came that far. Its source tells it: a Service's address is replaced on the way.
 */
export function joinPlaces(
  { cable, wire }: Readonly<Record<"cable" | "wire", Evidence>>,
  path: RequestPath,
): { readonly connections: readonly ConnectionEvidence[]; readonly crossesWire: boolean } {
  const onCable = pathConnections(cable, path);
  const onWire = pathConnections(wire, path);
  const further = onWire.filter((each) => each.hasBeginning && !onCable.some((known) => isSame(known, each)));
  const crossing = onCable.flatMap((known) => onWire.find((each) => isSame(known, each)) ?? []);
  const connections = [...onCable.map((known) => crossing.find((each) => isSame(known, each)) ?? known), ...further];
  return { connections, crossesWire: crossing.length + further.length > 0 };
}

export function judgePath(places: readonly PlaceEvidence[], connections: readonly ConnectionEvidence[]): PathVerdict {
  const dropped = places.reduce((sum, place) => sum + place.dropped, 0);
  const isMarkerReadable = places.some(
    ({ evidence }) => evidence.isMarkerInOtherFrames || evidence.connections.some(({ containsMarker }) => containsMarker),
  );
  const isComplete = dropped === 0 && connections.length > 0 && connections.every(({ isWhole }) => isWhole);
  return {
    isEncrypted: connections.length > 0 && connections.every(isProven),
    isMarkerAbsent: !isMarkerReadable && isComplete,
    isMarkerReadable,
    clientIdentity: connections[0]?.clientIdentity,
    serverIdentity: connections.at(-1)?.serverIdentity,
    connections,
    notes: [
      ...(connections.length === 0 ? ["no connection of this request was captured"] : []),
      ...(dropped > 0 ? [`${dropped} packets were lost by the capture: what they held is not known`] : []),
      ...new Set(connections.flatMap(({ notes }) => notes)),
    ],
  };
}

function isTunnel({ destination }: ConnectionEvidence): boolean {
  return destination.port === INBOUND_HBONE_PORT;
}

function isProven({ kind, clientIdentity, serverIdentity }: ConnectionEvidence): boolean {
  return kind === "tls13" && clientIdentity !== undefined && serverIdentity !== undefined;
}

function isSame({ source }: ConnectionEvidence, { source: other }: ConnectionEvidence): boolean {
  return source.ip === other.ip && source.port === other.port;
}

/** Sessions from before the capture take no new request, as the proxies have retired them; alone, they are all that there is. */
function begun(connections: readonly ConnectionEvidence[]): readonly ConnectionEvidence[] {
  const opened = connections.filter(({ hasBeginning }) => hasBeginning);
  return opened.length > 0 ? opened : connections;
}

function unique<T>(items: readonly T[]): readonly T[] {
  return [...new Set(items)];
}
