// Several objects that claim one hostname: who holds it in its namespace, and whose definition other namespaces prefer.
import type { MeshService } from "./mesh-service.ts";

/** Kubernetes Services before ServiceEntries, then the oldest. @source istio pilot/pkg/serviceregistry/ambient/services.go */
export function chooseServices(services: readonly MeshService[]): MeshService[] {
  const chosen: MeshService[] = [];
  for (const claims of Map.groupBy(services, ({ service }) => service.hostname).values()) {
    const winners = new Map<string, MeshService>();
    for (const claim of claims.toSorted(byPreference)) {
      if (!winners.has(claim.service.namespace)) winners.set(claim.service.namespace, claim);
    }
    let canonical = true;
    for (const winner of winners.values()) {
      chosen.push(canonical ? winner : { ...winner, service: { ...winner.service, canonical } });
      canonical = false;
    }
  }
  return chosen;
}

function byPreference(a: MeshService, b: MeshService): number {
  return preferenceOf(a) < preferenceOf(b) ? -1 : 1;
}

function preferenceOf({ kind, creationTimestamp, service, objectName }: MeshService): string {
  return `${kind === "Service" ? 0 : 1}|${creationTimestamp}|${service.namespace}/${objectName}`;
}
