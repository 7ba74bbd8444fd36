// A proof as people read it.

/** What labd answers; more fields than these. */
export interface ProofReport {
  readonly url: string;
  readonly marker: string;
  readonly isAnswered: boolean;
  readonly answer: string;
  readonly capturedOn: "wire" | "cable";
  readonly isProven: boolean;
  readonly isEncrypted: boolean;
  readonly isMarkerAbsent: boolean;
  readonly isMarkerReadable: boolean;
  readonly connections: readonly ProvenConnection[];
  readonly notes: readonly string[];
}

export interface ProvenConnection {
  readonly source: Address;
  readonly destination: Address;
  readonly kind: "tls13" | "tls-other" | "plaintext" | "unknown";
  readonly cipherSuite: string | null;
  readonly alpn: string | null;
  readonly clientIdentity: string | null;
  readonly serverIdentity: string | null;
  readonly containsMarker: boolean;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

interface Address {
  readonly ip: string;
  readonly port: number;
}

const KINDS: Readonly<Record<ProvenConnection["kind"], string>> = {
  tls13: "TLS 1.3",
  "tls-other": "TLS, not 1.3",
  plaintext: "plaintext",
  unknown: "unknown",
};

/** @param from who made the request */
export function proofLines(from: string, report: ProofReport): string[] {
  const { url, answer, capturedOn, connections, notes } = report;
  return [
    `${from} asks ${url}: ${answer}`,
    capturedOn === "wire"
      ? "captured on the wire between the nodes"
      : "nothing of this path crosses the wire between the nodes; captured on the pod's own cable",
    ...connections.flatMap(connectionLines),
    `marker      ${report.marker} ${markerText(report)}`,
    ...notes.map((note) => `note        ${note}`),
    `verdict     ${verdictText(report)}`,
  ];
}

function connectionLines(connection: ProvenConnection): string[] {
  const { source, destination, kind, cipherSuite, alpn, bytesUp, bytesDown, clientIdentity, serverIdentity } = connection;
  const how = [KINDS[kind], cipherSuite, alpn, `${bytesUp} bytes up, ${bytesDown} down`]
    .filter((part) => part !== null)
    .join(", ");
  const head = `connection  ${addressText(source)} -> ${addressText(destination)}  ${how}`;
  if (kind !== "tls13") return [head];
  return [head, `  client    ${clientIdentity ?? "not proved"}`, `  server    ${serverIdentity ?? "not proved"}`];
}

function markerText({ isMarkerAbsent, isMarkerReadable }: ProofReport): string {
  if (isMarkerReadable) return "CAN BE READ";
  return isMarkerAbsent ? "is nowhere in the captured bytes" : "was not seen, but not everything was captured";
}

function verdictText({ isProven, isAnswered, isEncrypted, isMarkerAbsent, isMarkerReadable }: ProofReport): string {
  if (isProven) return "ENCRYPTED, both identities proved, marker absent";
  if (isMarkerReadable) return "READABLE: the request was sent in plaintext";
  if (!isAnswered) return "NOT PROVED: the request was not answered";
  const lacks = [
    ...(isEncrypted ? [] : ["TLS 1.3 with both identities"]),
    ...(isMarkerAbsent ? [] : ["that the marker is absent"]),
  ];
  return `NOT PROVED: ${lacks.join(", ")}`;
}

function addressText({ ip, port }: Address): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}
