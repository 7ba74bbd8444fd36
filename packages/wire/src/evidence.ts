// Everything that a capture shows: its TCP connections, judged, and whether a marker can be read anywhere in it.
import { formatSocketAddress } from "@ambit/core";
import { type CapturedFrame, parseFrame, type TcpSegment } from "./frames.ts";
import type { SecretsByRandom } from "./key-log.ts";
import { contains } from "./marker-search.ts";
import { type ConnectionEvidence, WireConnection } from "./wire-connection.ts";

export interface EvidenceOptions {
  /** What must not be readable on the wire; empty looks for nothing. */
  readonly marker: Uint8Array;
  /** Connections without a packet from then on are left out. */
  readonly since: number;
}

export interface Evidence {
  /** In the order of their first packets. */
  readonly connections: readonly ConnectionEvidence[];
  readonly frames: number;
  /** Frames that carry no whole TCP segment: ARP, UDP, fragments. */
  readonly otherFrames: number;
  readonly isMarkerInOtherFrames: boolean;
}

/** Reads the bytes as they were on the wire; the secrets open handshakes only. */
export function gatherEvidence(frames: Iterable<CapturedFrame>, secrets: SecretsByRandom, options: EvidenceOptions): Evidence {
  const { marker, since } = options;
  const open = new Map<string, WireConnection>();
  const connections: WireConnection[] = [];
  let frameCount = 0;
  let otherFrames = 0;
  let isMarkerInOtherFrames = false;
  for (const { bytes, atMs } of frames) {
    frameCount++;
    const segment = parseFrame(bytes);
    if (segment === undefined) {
      otherFrames++;
      if (atMs >= since) isMarkerInOtherFrames ||= contains(bytes, marker);
      continue;
    }
    const key = keyOf(segment);
    const known = open.get(key);
    if (known?.accepts(segment) === true) known.add(segment, atMs);
    else {
      const connection = new WireConnection(segment, atMs, marker);
      open.set(key, connection);
      connections.push(connection);
    }
  }
  const judged = connections.map((connection) => connection.judge(secrets)).filter(({ lastAtMs }) => lastAtMs >= since);
  return { connections: judged, frames: frameCount, otherFrames, isMarkerInOtherFrames };
}

/** The same for both directions. */
function keyOf({ source, destination }: TcpSegment): string {
  const ends = [formatSocketAddress(source), formatSocketAddress(destination)];
  return ends.sort().join(" ");
}
