// A pod's own network namespace, with an interface on its node's bridge and addresses of its node's range.
import { randomBytes } from "node:crypto";
import { labError } from "../errors.ts";
import { POD_BRIDGE } from "./fabric.ts";
import { addNetns, deleteNetns, ipBatch, netnsPath, setSysctls } from "./ip-batch.ts";
import { freePodNumber, type LabNode, type PerFamily } from "./plan.ts";

export interface PodSandbox {
  /** 64 hexadecimal digits, as container runtimes name them. */
  readonly containerId: string;
  readonly node: LabNode;
  readonly netns: string;
  readonly netnsPath: string;
  readonly ips: PerFamily<string>;
  /** The node's end of the pod's cable. */
  readonly hostInterface: string;
  readonly mac: string;
  readonly hostMac: string;
}

/** A redirect would send answers past the node, which has to translate them back. */
const POD_SYSCTLS = {
  "net/ipv4/conf/all/accept_redirects": "0",
  "net/ipv4/conf/default/accept_redirects": "0",
  "net/ipv6/conf/all/accept_redirects": "0",
  "net/ipv6/conf/default/accept_redirects": "0",
  "net/ipv6/conf/all/accept_dad": "0",
  "net/ipv6/conf/default/accept_dad": "0",
  "net/ipv4/conf/all/rp_filter": "0",
  "net/ipv4/conf/default/rp_filter": "0",
};

export class PodNetwork {
  readonly #used = new Map<string, Set<number>>();

  /** @throws LAB_ADDRESSES_EXHAUSTED */
  async attach(node: LabNode): Promise<PodSandbox> {
    const used = this.#usedOn(node);
    const number = freePodNumber(used);
    if (number === undefined)
      throw labError("LAB_ADDRESSES_EXHAUSTED", `Node ${node.name} has no free pod address left in ${node.podRange[4]}`);
    used.add(number);
    const containerId = randomBytes(32).toString("hex");
    const short = containerId.slice(0, 8);
    const netns = `pod-${short}`;
    const sandbox: PodSandbox = {
      containerId,
      node,
      netns,
      netnsPath: netnsPath(netns),
      ips: node.podIps(number),
      hostInterface: `veth${short}`,
      mac: podMac(node.podIps(number)[4]),
      hostMac: randomMac(),
    };
    try {
      await addNetns(netns);
      await connect(sandbox);
    } catch (error) {
      used.delete(number);
      await deleteNetns(netns).catch(() => undefined);
      throw error;
    }
    return sandbox;
  }

  /** The cable goes with the namespace. */
  async detach(sandbox: PodSandbox): Promise<void> {
    await deleteNetns(sandbox.netns);
    // A namespace lives on while a process is in it; its address must not be given out beside that.
    await ipBatch(sandbox.node.name, [`link del ${sandbox.hostInterface}`]).catch(() => undefined);
    const used = this.#usedOn(sandbox.node);
    for (const number of used) if (sandbox.node.podIps(number)[4] === sandbox.ips[4]) used.delete(number);
  }

  #usedOn({ name }: LabNode): Set<number> {
    const used = this.#used.get(name) ?? new Set();
    this.#used.set(name, used);
    return used;
  }
}

/** Each pod is alone in its subnet and sends everything to the node: traffic between pods of one node is routed there too. */
async function connect(sandbox: PodSandbox): Promise<void> {
  const { node, netns, hostInterface, ips, mac, hostMac } = sandbox;
  setSysctls(netns, POD_SYSCTLS);
  await ipBatch(node.name, [
    `link add ${hostInterface} address ${hostMac} type veth peer name eth0 address ${mac} netns ${netns}`,
    `link set ${hostInterface} master ${POD_BRIDGE}`,
    `link set ${hostInterface} type bridge_slave isolated on`,
    `link set ${hostInterface} up`,
  ]);
  await ipBatch(netns, [
    "link set lo up",
    "link set eth0 up",
    `address add ${ips[4]}/32 dev eth0`,
    `address add ${ips[6]}/128 dev eth0 nodad`,
    `route add ${node.gateway[4]} dev eth0 scope link`,
    `route add default via ${node.gateway[4]} dev eth0`,
    `route add ${node.gateway[6]} dev eth0`,
    `route add default via ${node.gateway[6]} dev eth0`,
  ]);
}

/** Of the address, so that a pod that gets a former pod's address is found where neighbours remember that one. */
function podMac(ipv4: string): string {
  return ["0a", "58", ...ipv4.split(".").map((part) => Number(part).toString(16).padStart(2, "0"))].join(":");
}

/** Locally administered, unicast. */
function randomMac(): string {
  return ["0a", "59", ...(randomBytes(4).toString("hex").match(/../g) ?? [])].join(":");
}
