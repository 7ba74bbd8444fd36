// One look at a container's health, from the node, as the kubelet takes it.
import type { Pod } from "@ambit/kube";
import { containerPort } from "../controllers/endpoint-slices.ts";
import { messageOf } from "../errors.ts";
import { dial } from "../network/dial.ts";
import { httpIn } from "../network/http-in.ts";

export type ProbeSpec = NonNullable<Pod["spec"]["containers"][number]["readinessProbe"]>;

/** Undefined when the container is well, else what is wrong. */
export async function probeOnce(node: string, ip: string, pod: Pod, probe: ProbeSpec): Promise<string | undefined> {
  const wanted = probe.httpGet?.port ?? probe.tcpSocket?.port;
  const port = typeof wanted === "string" ? containerPort(pod, wanted) : wanted;
  if (port === undefined) return `the probe names no port that the pod has: ${wanted ?? "none"}`;
  const target = { netns: node, ip, port };
  const timeoutMs = probe.timeoutSeconds * 1000;
  try {
    if (probe.httpGet === undefined) {
      (await dial(target, timeoutMs)).destroy();
      return undefined;
    }
    const { status } = await httpIn(target, probe.httpGet.path, { timeoutMs, userAgent: "kube-probe/1.0" });
    return status >= 200 && status < 400 ? undefined : `HTTP probe answered ${status}`;
  } catch (error) {
    return messageOf(error);
  }
}
