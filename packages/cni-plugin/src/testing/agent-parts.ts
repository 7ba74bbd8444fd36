// For tests: the agent's own parts around fakes of kernel, node proxy and Kubernetes, which write down what is done to them.
import { ManualClock, MeshError, silentLogger } from "@ambit/core";
import { type Netns, ownNetns } from "@ambit/linux";
import { Enrolment } from "../agent/enrolment.ts";
import type { NetnsFinder } from "../agent/netns-finder.ts";
import { PodCache } from "../agent/pod-cache.ts";
import { PodQueue } from "../agent/pod-queue.ts";
import { PodSnapshot } from "../agent/pod-snapshot.ts";
import { PodWatcher } from "../agent/pod-watcher.ts";
import { DEFAULT_SELECTORS } from "../eligibility.ts";
import { FakeKube } from "./fake-kube.ts";
import { recordingMetrics } from "./recording-metrics.ts";

/** Steps that shall fail; the text is the reason. */
export type Failing = Partial<Record<"rules" | "proxy" | "find" | "removal", string | undefined>>;

export function agentParts() {
  const steps: string[] = [];
  const failing: Failing = {};
  const opened: Netns[] = [];
  const kube = new FakeKube();
  const clock = new ManualClock();
  const metrics = recordingMetrics();
  const snapshot = new PodSnapshot();
  const queue = new PodQueue();
  const step = async (name: string, failure?: keyof Failing) => {
    const reason = failure === undefined ? undefined : failing[failure];
    steps.push(reason === undefined ? name : `${name} failed`);
    if (reason !== undefined)
      throw new MeshError(failure === "proxy" ? "CNI_ZTUNNEL_NOT_CONNECTED" : "CNI_REDIRECTION_FAILED", reason);
  };
  const redirector = {
    ensure: async () => {
      await step("rules", "rules");
      return "applied" as const;
    },
    inspect: async () => ({ residue: true, differences: failing.rules === undefined ? [] : [failing.rules] }),
    remove: () => step("rules removed", "removal"),
  };
  const enrolment = new Enrolment(
    {
      snapshot,
      redirector,
      hostProbes: { allow: () => step("probes"), forbid: () => step("probes removed") },
      nodeProxies: { add: () => step("proxy", "proxy"), remove: () => void steps.push("proxy removed") },
      logger: silentLogger,
    },
    { captureDns: true },
  );
  const finder: NetnsFinder = {
    async find() {
      if (failing.find !== undefined) throw new MeshError("CNI_NETNS_NOT_FOUND", failing.find);
      const netns = ownNetns();
      opened.push(netns);
      return netns;
    },
  };
  const eligibility = { selectors: DEFAULT_SELECTORS, excludedNamespaces: ["kube-system"], systemNamespace: "ambit-system" };
  const cache = new PodCache({ source: kube, clock }, { nodeName: "n1", eligibility });
  const watcher = new PodWatcher({
    cache,
    snapshot,
    enrolment,
    finder,
    queue,
    writer: kube,
    clock,
    logger: silentLogger,
    metrics,
  });
  return { kube, clock, metrics, snapshot, queue, redirector, enrolment, finder, cache, watcher, steps, failing, opened };
}

export type AgentParts = ReturnType<typeof agentParts>;
