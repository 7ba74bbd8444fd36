// The socket on which the CNI plugin asks the agent.
import { asMeshError, type Clock, hasCode, type IpAddress, type Logger, parseIp } from "@ambit/core";
import { type Netns, openNetns } from "@ambit/linux";
import { httpServer } from "@ambit/runtime";
import { z } from "zod";
import type { Enrolment } from "./enrolment.ts";
import { agentError } from "./errors.ts";
import type { AgentMetrics } from "./metrics.ts";
import { describePod } from "./pod.ts";
import type { PodCache } from "./pod-cache.ts";
import type { PodQueue } from "./pod-queue.ts";
import { type EnrolledPod, isLocated, type PodSnapshot } from "./pod-snapshot.ts";
import type { PodWatcher } from "./pod-watcher.ts";
import type { Redirector } from "./redirector.ts";

export interface PluginServerDeps {
  readonly cache: PodCache;
  readonly snapshot: PodSnapshot;
  readonly enrolment: Enrolment;
  readonly redirector: Pick<Redirector, "inspect">;
  readonly watcher: PodWatcher;
  readonly queue: PodQueue;
  readonly isReady: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: AgentMetrics;
}

/** Shorter than the plugin's patience of 5 s, so that it hears the reason. */
const UNKNOWN_POD_WAIT_MS = 3000;

/** Go's encoding of net.IPNet; the mask says nothing that enrolment needs. @source istio cni/pkg/plugin/plugin.go CNIPluginAddEvent */
const addressSchema = z.looseObject({ Address: z.looseObject({ IP: z.string() }) });
const attachmentSchema = z.looseObject({
  Netns: z.string().default(""),
  PodName: z.string().min(1),
  PodNamespace: z.string().min(1),
  PodUID: z.string().default(""),
  ContainerID: z.string().default(""),
  IPs: z.array(addressSchema).nullish(),
});
type Attachment = z.infer<typeof attachmentSchema>;
const garbageSchema = z.looseObject({ ValidContainerIDs: z.array(z.string()) });

/** Built, not listening; answers 200, 400 for a body that cannot be read, 503 before the agent is ready, 500 for anything else. */
export function createPluginServer(deps: PluginServerDeps): ReturnType<typeof httpServer> {
  const server = httpServer();
  const handle = (path: string, action: (body: unknown) => Promise<unknown>) => {
    server.post(path, async (request, reply) => {
      try {
        if (!deps.isReady()) throw agentError("CNI_POD_UNKNOWN", "The agent is still reading the state of this node");
        reply.code(200);
        return await action(request.body);
      } catch (error) {
        const failure = asMeshError(error, "CNI_POD_NOT_ENROLLED");
        reply.code(failure.code === "CNI_REQUEST_INVALID" ? 400 : deps.isReady() ? 500 : 503);
        deps.logger.warn("A request of the plugin failed", { path, code: failure.code, reason: failure.message });
        return { error: failure.message, code: failure.code };
      }
    });
  };
  server.addHook("onResponse", (_request, reply, done) => {
    deps.metrics.pluginRequests.inc({ response_code: String(reply.statusCode) });
    done();
  });
  handle("/cmdadd", (body) => add(deps, checked(attachmentSchema, body)));
  handle("/cmddel", (body) => remove(deps, checked(attachmentSchema, body)));
  handle("/cmdcheck", (body) => check(deps, checked(attachmentSchema, body)));
  handle("/cmdgc", (body) => collectGarbage(deps, checked(garbageSchema, body).ValidContainerIDs));
  handle("/cmdstatus", async () => ({ ready: true }));
  return server;
}

async function add(deps: PluginServerDeps, attachment: Attachment): Promise<unknown> {
  const { PodNamespace, PodName, PodUID, ContainerID } = attachment;
  const pod = await deps.cache.waitFor(PodNamespace, PodName, PodUID, UNKNOWN_POD_WAIT_MS);
  const eligibility = deps.cache.eligibility(pod);
  deps.logger.info("Pod is starting", { pod: describePod(pod), decision: eligibility.kind, reason: eligibility.reason });
  if (eligibility.kind === "skip") return { enrolled: false, reason: eligibility.reason };
  const ips = addressesOf(attachment);
  if (ips.length === 0) throw agentError("CNI_REQUEST_INVALID", `No address was given for pod ${describePod(pod)}`);
  await deps.queue.run(pod.uid, async () => {
    await deps.enrolment.addStartingPod({ pod, netns: openNamed(attachment.Netns), ips, containerId: ContainerID });
  });
  deps.watcher.reconcileSoon(pod.uid);
  return { enrolled: true, reason: eligibility.reason };
}

/** Idempotent. The pod may already live in another sandbox under the same UID, so only the container's own entry goes. */
async function remove(deps: PluginServerDeps, attachment: Attachment): Promise<unknown> {
  const entry = deps.snapshot.findByContainer(attachment.ContainerID);
  if (entry !== undefined) await removeSandbox(deps, entry);
  return { removed: entry !== undefined };
}

async function check(deps: PluginServerDeps, attachment: Attachment): Promise<unknown> {
  const { PodNamespace, PodName, PodUID } = attachment;
  const pod = await deps.cache.waitFor(PodNamespace, PodName, PodUID, UNKNOWN_POD_WAIT_MS);
  if (deps.cache.eligibility(pod).kind === "skip") return { enrolled: false };
  const entry = deps.snapshot.get(pod.uid);
  if (entry === undefined || !isLocated(entry) || !entry.complete) {
    throw agentError(
      "CNI_POD_NOT_ENROLLED",
      deps.watcher.problems().get(pod.uid) ?? `Pod ${describePod(pod)} is not in the mesh`,
    );
  }
  const { differences } = await deps.queue.run(pod.uid, () => deps.redirector.inspect(entry.netns, entry.settings));
  if (differences.length > 0) throw agentError("CNI_POD_NOT_ENROLLED", differences.join("; "));
  return { enrolled: true };
}

/** Only sandboxes that the plugin brought: of others the runtime's list says nothing. */
async function collectGarbage(deps: PluginServerDeps, validIds: readonly string[]): Promise<unknown> {
  const garbage = deps.snapshot.list().filter((entry) => entry.containerId !== "" && !validIds.includes(entry.containerId));
  for (const entry of garbage) await removeSandbox(deps, entry);
  return { removed: garbage.length };
}

async function removeSandbox(deps: PluginServerDeps, { uid, containerId }: EnrolledPod): Promise<void> {
  await deps.queue.run(uid, async () => {
    const current = deps.snapshot.get(uid);
    if (current?.containerId === containerId) await deps.enrolment.removePod(current, false);
  });
}

function openNamed(path: string): Netns {
  try {
    return openNetns(path);
  } catch (error) {
    if (!hasCode(error, "LINUX_NETNS_INVALID")) throw error;
    throw agentError(
      "CNI_NETNS_UNUSABLE",
      `${error.message}; is the directory of network namespaces mounted into the agent?`,
      error,
    );
  }
}

function addressesOf(attachment: Attachment): IpAddress[] {
  return (attachment.IPs ?? []).map(({ Address }) => {
    const ip = parseIp(Address.IP);
    if (ip === undefined) throw agentError("CNI_REQUEST_INVALID", `IPs contains ${JSON.stringify(Address.IP)}, not an address`);
    return ip;
  });
}

function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join(".") || "(whole)"}: ${issue.message}`).join("; ");
  throw agentError("CNI_REQUEST_INVALID", `Request body: ${problems}`);
}
