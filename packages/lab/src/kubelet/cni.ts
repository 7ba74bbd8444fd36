// Calls the CNI plugin as a container runtime would: environment, the previous plugin's result on standard input, its answer.
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { labError } from "../errors.ts";
import { startPiped } from "../namespaced-process.ts";
import { POD_BRIDGE } from "../network/fabric.ts";
import type { PodSandbox } from "../network/pod-network.ts";
import { PROGRAMS } from "../paths.ts";

export interface CniPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** @throws LAB_CNI_FAILED with what the plugin said */
export async function callCni(
  command: "ADD" | "DEL",
  sandbox: PodSandbox,
  { namespace, name, uid }: CniPod,
  runDirectory: string,
): Promise<void> {
  const child = startPiped({
    argv: [process.execPath, PROGRAMS.cniPlugin],
    cwd: "/",
    netns: sandbox.node.name,
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: sandbox.containerId,
      CNI_NETNS: sandbox.netnsPath,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_INFRA_CONTAINER_ID=${sandbox.containerId};K8S_POD_UID=${uid}`,
    },
  });
  const { stdin, stdout, stderr } = child;
  if (stdin === null || stdout === null || stderr === null) throw new TypeError("The plugin was started without pipes");
  const exited = once(child, "exit") as Promise<[number | null]>;
  // A plugin that ended before it had read everything says why on its output.
  stdin.on("error", () => undefined);
  stdin.end(`${JSON.stringify({ ...networkConfig(runDirectory), prevResult: previousResult(sandbox) })}\n`);
  const [said, complaint, [code]] = await Promise.all([text(stdout), text(stderr), exited]);
  if (code === 0) return;
  throw labError(
    "LAB_CNI_FAILED",
    `CNI ${command} of pod ${namespace}/${name} failed: ${reasonIn(said) || complaint.trim() || `exit code ${code}`}`,
  );
}

function networkConfig(runDirectory: string) {
  return {
    cniVersion: "1.0.0",
    name: "lab",
    type: "ambit-cni",
    cni_agent_run_dir: runDirectory,
    exclude_namespaces: ["kube-system"],
    plugin_log_level: "warn",
  };
}

function previousResult({ ips, node, mac, hostMac, hostInterface, netnsPath }: PodSandbox) {
  return {
    cniVersion: "1.0.0",
    interfaces: [
      { name: POD_BRIDGE, mac: "02:00:00:00:00:02" },
      { name: hostInterface, mac: hostMac },
      { name: "eth0", mac, sandbox: netnsPath },
    ],
    ips: [
      { interface: 2, address: `${ips[4]}/32`, gateway: node.gateway[4] },
      { interface: 2, address: `${ips[6]}/128`, gateway: node.gateway[6] },
    ],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
    dns: {},
  };
}

/** `msg; details` of the specification's error object. */
function reasonIn(said: string): string {
  try {
    const { msg = "", details = "" } = JSON.parse(said) as { msg?: string; details?: string };
    return [msg, details].filter((part) => part !== "").join("; ");
  } catch {
    return said.trim();
  }
}
