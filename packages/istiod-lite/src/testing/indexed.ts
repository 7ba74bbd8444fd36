// An index over objects of a test, with its resources at hand.
import { ADDRESS_TYPE_URL, AUTHORIZATION_TYPE_URL } from "@ambit/api";
import type { Authorization, Service, Workload } from "@ambit/core";
import { AmbientIndex } from "../ambient-index.ts";
import type { MeshSettings } from "../translate/settings.ts";
import { MemorySource } from "./memory-source.ts";
import { meshSettings } from "./settings.ts";

export function indexed(objects: readonly unknown[], settings: Partial<MeshSettings> = {}) {
  const source = new MemorySource();
  source.put(...objects);
  const index = new AmbientIndex(source, meshSettings(settings));
  index.start();
  const address = (name: string) => {
    const value = index.table(ADDRESS_TYPE_URL).get(name)?.value;
    return value !== undefined && "kind" in value ? value : undefined;
  };
  return {
    source,
    index,
    pod(name: string, namespace = "bookinfo"): Workload {
      return this.workload(`Kubernetes//Pod/${namespace}/${name}`);
    },
    workload(uid: string): Workload {
      const value = address(uid);
      if (value?.kind !== "workload") throw new Error(`No workload ${uid}`);
      return value.workload;
    },
    service(name: string): Service {
      const value = address(name);
      if (value?.kind !== "service") throw new Error(`No service ${name}`);
      return value.service;
    },
    policy(name: string): Authorization | undefined {
      const value = index.table(AUTHORIZATION_TYPE_URL).get(name)?.value;
      return value === undefined || "kind" in value ? undefined : value;
    },
    names: () => [...index.table(ADDRESS_TYPE_URL).names(), ...index.table(AUTHORIZATION_TYPE_URL).names()].sort(),
    problems: () => index.problems().map(({ kind, name, reason }) => `${kind}/${name}: ${reason}`),
  };
}
