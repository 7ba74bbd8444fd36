// The machines: a namespace each, joined by one wire, with a bridge for pods on every node.
import { addNetns, ipBatch, setSysctls } from "./ip-batch.ts";
import { FAMILIES, type LabNode, type Machine, OWN_IPS, SERVICE_RANGES, WIRE_PREFIX } from "./plan.ts";

const WIRE = "wire";
export const POD_BRIDGE = "cni0";

/** Duplicate address detection would hold every IPv6 address back for a second; redirects would teach pods a way around the node. */
const MACHINE_SYSCTLS = {
  "net/ipv4/ip_forward": "1",
  "net/ipv6/conf/all/forwarding": "1",
  "net/ipv4/conf/all/send_redirects": "0",
  "net/ipv4/conf/default/send_redirects": "0",
  "net/ipv4/conf/all/rp_filter": "0",
  "net/ipv4/conf/default/rp_filter": "0",
  "net/ipv6/conf/all/accept_dad": "0",
  "net/ipv6/conf/default/accept_dad": "0",
  // Frames between pods are routed. With these a bridge would rewrite them itself, and drop what leads back to where it came from.
  "net/bridge/bridge-nf-call-iptables": "0",
  "net/bridge/bridge-nf-call-ip6tables": "0",
};

/** Makes everything in the caller's namespace; it goes when that namespace goes. */
export async function createFabric(controlPlane: Machine, nodes: readonly LabNode[]): Promise<void> {
  // A bridge takes the lowest address of its ports: fixed, or neighbours would go stale with every new port.
  await ipBatch(undefined, [
    "link set lo up",
    `link add ${WIRE} address 02:00:00:00:00:01 type bridge`,
    `link set ${WIRE} up`,
    ...addresses(WIRE, OWN_IPS, WIRE_PREFIX),
  ]);
  await Promise.all([controlPlane, ...nodes].map((machine) => connectMachine(machine, nodes)));
  await Promise.all(
    nodes.map(async (node) => {
      await addPodBridge(node);
      // Packets to Services meet the filter rules only when they could go somewhere.
      await ipBatch(
        node.name,
        FAMILIES.map((family) => `route add ${SERVICE_RANGES[family]} via ${OWN_IPS[family]}`),
      );
    }),
  );
  await ipBatch(undefined, podRoutes(undefined, nodes));
}

async function connectMachine(machine: Machine, nodes: readonly LabNode[]): Promise<void> {
  const { name, ips } = machine;
  await addNetns(name);
  setSysctls(name, MACHINE_SYSCTLS);
  await ipBatch(undefined, [
    `link add w-${name} type veth peer name eth0 netns ${name}`,
    `link set w-${name} master ${WIRE}`,
    `link set w-${name} up`,
  ]);
  await ipBatch(name, ["link set lo up", "link set eth0 up", ...addresses("eth0", ips, WIRE_PREFIX), ...podRoutes(name, nodes)]);
}

async function addPodBridge({ name, gateway, podRange }: LabNode): Promise<void> {
  await ipBatch(name, [
    `link add ${POD_BRIDGE} address 02:00:00:00:00:02 type bridge`,
    `link set ${POD_BRIDGE} up`,
    ...addresses(POD_BRIDGE, gateway, { 4: prefixLength(podRange[4]), 6: prefixLength(podRange[6]) }),
  ]);
}

function addresses(device: string, ips: Machine["ips"], prefix: Readonly<Record<4 | 6, number>>): string[] {
  return [`address add ${ips[4]}/${prefix[4]} dev ${device}`, `address add ${ips[6]}/${prefix[6]} dev ${device} nodad`];
}

/** How a machine reaches the pods of all nodes but itself. */
function podRoutes(own: string | undefined, nodes: readonly LabNode[]): string[] {
  return nodes
    .filter(({ name }) => name !== own)
    .flatMap(({ podRange, ips }) => [`route add ${podRange[4]} via ${ips[4]}`, `route add ${podRange[6]} via ${ips[6]}`]);
}

function prefixLength(range: string): number {
  return Number(range.split("/")[1]);
}
