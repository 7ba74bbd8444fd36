// Gives Services the addresses that their manifests leave to the cluster.
import { type KubeService, listKind, type ObjectSource } from "@ambit/kube";
import { labError } from "../errors.ts";
import { freeServiceIps } from "../network/plan.ts";
import { serviceIps } from "../services/frontends.ts";
import type { Write } from "./write.ts";

/** @throws LAB_ADDRESSES_EXHAUSTED */
export function serviceAddressWrites(source: Pick<ObjectSource, "list">): Write[] {
  const services = listKind(source, "Service");
  const used = new Set(services.flatMap(serviceIps));
  return services.filter(needsAddress).map(({ metadata }): Write => {
    const ips = freeServiceIps(used);
    if (ips === undefined) throw labError("LAB_ADDRESSES_EXHAUSTED", "No Service address is left in 10.96.0.0/16");
    used.add(ips[4]).add(ips[6]);
    const { name, namespace } = metadata;
    return {
      type: "patch",
      ref: { kind: "Service", namespace, name },
      isDone: (object) => !needsAddress(object as unknown as KubeService),
      patch: { spec: { clusterIP: ips[4], clusterIPs: [ips[4], ips[6]], ipFamilies: ["IPv4", "IPv6"] } },
    };
  });
}

function needsAddress({ spec }: KubeService): boolean {
  return spec.type !== "ExternalName" && (spec.clusterIP === undefined || spec.clusterIP === "");
}
