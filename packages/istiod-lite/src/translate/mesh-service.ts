// A service with what only the control plane needs of it: who its endpoints are.
import type { PortMap, Service } from "@ambit/core";
import type { Labels } from "./labels.ts";

interface PortNames {
  readonly name: string;
  /** The name that each endpoint gives a number to; undefined when the target is a number. */
  readonly targetName?: string | undefined;
}

export interface MeshService {
  readonly service: Service;
  readonly kind: "Service" | "ServiceEntry";
  /** Name of the object; several services may come from one ServiceEntry. */
  readonly objectName: string;
  readonly creationTimestamp: string;
  readonly selector: Labels | undefined;
  /** By service port. */
  readonly portNames: ReadonlyMap<number, PortNames>;
  /** Why a waypoint label of the object has no effect. */
  readonly problem?: string | undefined;
}

/** Ports of a service on an endpoint that numbers its names by `portByName`; a name that it does not have leaves that port out. */
export function portsOfEndpoint({ service, portNames }: MeshService, portByName: (name: string) => number | undefined): PortMap {
  const ports = new Map<number, number>();
  for (const { servicePort, targetPort } of service.ports) {
    const targetName = portNames.get(servicePort)?.targetName;
    const target = targetName === undefined ? targetPort : portByName(targetName);
    if (target !== undefined) ports.set(servicePort, target);
  }
  return ports;
}

/** Ports on a WorkloadEntry: for a ServiceEntry its own port names are looked up, and the default stays when they are not there. */
export function portsOfWorkloadEntry(meshService: MeshService, numbers: Readonly<Record<string, number>>): PortMap {
  const byName = (name: string) => (Object.hasOwn(numbers, name) ? numbers[name] : undefined);
  if (meshService.kind === "Service") return portsOfEndpoint(meshService, byName);
  const { service, portNames } = meshService;
  return new Map(
    service.ports.map(({ servicePort, targetPort }) => [
      servicePort,
      byName(portNames.get(servicePort)?.name ?? "") ?? targetPort,
    ]),
  );
}
