// A workload's facts as HBONE's baggage header carries them, and back as labels.
import type { SpiffeId, Workload } from "@ambit/core";
import { type Baggage, formatBaggage } from "@ambit/hbone";
import type { Party } from "../worker-messages.ts";

const texts = new WeakMap<Workload, string>();

export function baggageOf(workload: Workload): string {
  let text = texts.get(workload);
  if (text === undefined) {
    const { region, zone } = workload.locality;
    text = formatBaggage({
      clusterId: workload.clusterId || undefined,
      namespace: workload.namespace || undefined,
      workloadType: workload.workloadType,
      workloadName: workload.workloadName || undefined,
      serviceName: workload.canonicalName || undefined,
      serviceVersion: workload.canonicalRevision || undefined,
      region: region || undefined,
      zone: zone || undefined,
    });
    texts.set(workload, text);
  }
  return text;
}

/** Labels of a peer that discovery does not know; nothing in it is trusted but the identity, which TLS proved. */
export function partyFromBaggage(baggage: Baggage, identity: SpiffeId): Party {
  return {
    workloadName: baggage.workloadName,
    namespace: baggage.namespace,
    canonicalName: baggage.serviceName,
    canonicalRevision: baggage.serviceVersion,
    cluster: baggage.clusterId,
    region: baggage.region,
    zone: baggage.zone,
    principal: identity,
    identity,
  };
}
