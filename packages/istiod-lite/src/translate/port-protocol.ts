// Which application protocol a service's port speaks, by what its owner says.
import type { AppProtocol } from "@ambit/core";

/** Names that Istio knows; those without a word on the wire are unknown to the data plane. @source istio pkg/config/protocol Parse */
const PROTOCOLS: Readonly<Record<string, AppProtocol>> = {
  tcp: "tcp",
  udp: "unknown",
  grpc: "grpc",
  "grpc-web": "unknown",
  http: "http11",
  http_proxy: "unknown",
  http2: "http2",
  https: "tls",
  tls: "tls",
  mongo: "unknown",
  redis: "unknown",
  mysql: "unknown",
};

const KUBERNETES_NAMES: Readonly<Record<string, AppProtocol>> = {
  "kubernetes.io/h2c": "http2",
  "kubernetes.io/ws": "http11",
  "kubernetes.io/wss": "tls",
};

/** Protocols in which the server speaks first: waiting for the client's bytes to tell would block them. */
const WELL_KNOWN_TCP_PORTS: ReadonlySet<number> = new Set([25, 53, 3306, 27017]);

export interface NamedPort {
  readonly port: number;
  readonly name?: string | undefined;
  readonly protocol: string;
  readonly appProtocol?: string | undefined;
}

/** `appProtocol` wins over the port's name. @source istio pkg/config/kube ConvertProtocol */
export function protocolOfPort({ port, name, protocol, appProtocol }: NamedPort): AppProtocol {
  if (protocol === "UDP") return "unknown";
  if (appProtocol !== undefined && Object.hasOwn(KUBERNETES_NAMES, appProtocol))
    return KUBERNETES_NAMES[appProtocol] ?? "unknown";
  const text = (appProtocol ?? name ?? "").toLowerCase();
  const word = text.startsWith("grpc-web") ? "grpc-web" : (text.split("-")[0] ?? "");
  if (Object.hasOwn(PROTOCOLS, word)) return PROTOCOLS[word] ?? "unknown";
  return WELL_KNOWN_TCP_PORTS.has(port) ? "tcp" : "unknown";
}

/** The protocol as a ServiceEntry writes it, `HTTP`. */
export function protocolOfName(text: string | undefined): AppProtocol {
  const word = (text ?? "").toLowerCase();
  return Object.hasOwn(PROTOCOLS, word) ? (PROTOCOLS[word] ?? "unknown") : "unknown";
}
