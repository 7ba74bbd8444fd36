// Services and EndpointSlices → which address and port leads to which endpoints.
import type { EndpointSlice, KubeService } from "@ambit/kube";
import type { IpFamily } from "@ambit/linux";

export interface Endpoint {
  readonly ip: string;
  readonly port: number;
}

export interface Frontend {
  /** `namespace/service:port`. */
  readonly name: string;
  readonly ip: string;
  readonly port: number;
  readonly protocol: "tcp" | "udp";
  readonly endpoints: readonly Endpoint[];
}

export const SERVICE_NAME_LABEL = "kubernetes.io/service-name";

/** In the order of names, so that equal inputs give equal rules. */
export function frontendsOf(
  services: readonly KubeService[],
  slices: readonly EndpointSlice[],
  family: IpFamily,
): readonly Frontend[] {
  const frontends = services.flatMap((service) => {
    const { name, namespace } = service.metadata;
    const ip = serviceIps(service).find((candidate) => candidate.includes(":") === (family === 6));
    if (ip === undefined) return [];
    const own = slices.filter((slice) => isOf(slice, service, family));
    return service.spec.ports.map(({ name: portName, port, protocol }) => ({
      name: `${namespace}/${name}:${portName ?? port}`,
      ip,
      port,
      protocol: protocol === "UDP" ? ("udp" as const) : ("tcp" as const),
      endpoints: endpointsOf(own, portName, protocol),
    }));
  });
  return frontends.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A Service's own addresses; none when it is headless or not yet addressed. */
export function serviceIps({ spec }: KubeService): readonly string[] {
  const ips = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  return ips.filter((ip) => ip !== "" && ip !== "None");
}

export function isHeadless({ spec }: KubeService): boolean {
  return spec.clusterIP === "None";
}

function isOf({ metadata, addressType }: EndpointSlice, { metadata: service }: KubeService, family: IpFamily): boolean {
  return (
    metadata.namespace === service.namespace &&
    metadata.labels[SERVICE_NAME_LABEL] === service.name &&
    addressType === `IPv${family}`
  );
}

function endpointsOf(slices: readonly EndpointSlice[], portName: string | undefined, protocol: string): Endpoint[] {
  const endpoints = slices.flatMap((slice) => {
    const found = slice.ports.find((port) => (port.name ?? "") === (portName ?? "") && port.protocol === protocol)?.port;
    if (found === undefined || found === null) return [];
    return readyAddresses(slice).map((ip) => ({ ip, port: found }));
  });
  return endpoints.sort((a, b) => (a.ip < b.ip ? -1 : 1));
}

/** An endpoint that does not say is ready. @source EndpointSlice API, conditions.ready */
export function readyAddresses({ endpoints }: EndpointSlice): string[] {
  return endpoints.filter(({ conditions }) => conditions?.ready !== false).flatMap(({ addresses }) => addresses);
}
