import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type PodUid, parseIp, silentLogger } from "@ambit/core";
import { createPodLab, POD_IP } from "../testing/pod-lab.ts";
import { createNetnsFinder } from "./netns-finder.ts";
import type { Pod } from "./pod.ts";

function podWith(address: string): Pod {
  const ip = parseIp(address);
  assert.ok(ip);
  return {
    uid: "4ada1bdc-b660-4a37-b3d6-f1c0b65cde88" as PodUid,
    name: "a",
    namespace: "default",
    labels: {},
    annotations: {},
    hostNetwork: false,
    serviceAccount: "default",
    nodeName: "n1",
    ips: [ip],
    terminated: false,
    deleting: false,
  };
}

/** Directories with namespaces under names of the test's choice, and processes as /proc shows them. */
function machine(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), "cni-finder-"));
  t.after(() => rmSync(root, { recursive: true }));
  const options = { netnsDirectory: join(root, "netns"), procDirectory: join(root, "proc") };
  mkdirSync(options.netnsDirectory);
  mkdirSync(options.procDirectory);
  const mount = (name: string, path: string) => symlinkSync(path, join(options.netnsDirectory, name));
  const process = (pid: number, group: string, startTicks: number, netnsPath: string) => {
    const directory = join(options.procDirectory, String(pid));
    mkdirSync(join(directory, "ns"), { recursive: true });
    writeFileSync(join(directory, "cgroup"), `4:memory:${group}\n`);
    writeFileSync(join(directory, "stat"), `${pid} (a ) b) S ${"0 ".repeat(18)}${startTicks} 0\n`);
    symlinkSync(netnsPath, join(directory, "ns/net"));
  };
  return { mount, process, finder: createNetnsFinder(silentLogger, options), options };
}

const GROUPFS = "/kubepods/besteffort/pod4ada1bdc-b660-4a37-b3d6-f1c0b65cde88/abc";
const SYSTEMD = "/kubepods.slice/kubepods-pod4ada1bdc_b660_4a37_b3d6_f1c0b65cde88.slice/cri-abc.scope";

test("NetnsFinder finds the mounted namespace that owns the pod's address, under whichever names it is mounted", async (t) => {
  const lab = await createPodLab(t);
  const { mount, finder, options } = machine(t);
  mount("other", "/proc/self/ns/net");
  mount("first", lab.podPath);
  mount("second", lab.podPath);
  writeFileSync(join(options.netnsDirectory, "junk"), "");
  const netns = await finder.find(podWith(POD_IP[6]));
  assert.equal(netns.id, lab.pod.id);
  netns.close();
});

for (const [driver, group] of [
  ["cgroupfs", GROUPFS],
  ["systemd", SYSTEMD],
] as const) {
  test(`NetnsFinder finds the namespace by the oldest process of the pod (${driver})`, async (t) => {
    const lab = await createPodLab(t);
    const { process, finder } = machine(t);
    process(10, "/system.slice/kubelet", 1, lab.podPath);
    process(20, group, 700, lab.podPath);
    process(30, group, 500, "/proc/self/ns/net");
    const netns = await finder.find(podWith(POD_IP[4]));
    assert.equal(netns.id, lab.pod.id);
    netns.close();
  });
}

test("NetnsFinder asks the processes when two namespaces claim the address, and refuses to guess without them", async (t) => {
  const [lab, impostor] = [await createPodLab(t), await createPodLab(t)];
  const { mount, process, finder } = machine(t);
  mount("a", impostor.podPath);
  mount("b", lab.podPath);
  await assert.rejects(finder.find(podWith(POD_IP[4])), { code: "CNI_NETNS_AMBIGUOUS" });
  process(20, GROUPFS, 700, lab.podPath);
  const netns = await finder.find(podWith(POD_IP[4]));
  assert.equal(netns.id, lab.pod.id);
  netns.close();
});

test("NetnsFinder says where it looked when it finds nothing", async (t) => {
  const lab = await createPodLab(t);
  const { mount, process, finder, options } = machine(t);
  mount("a", lab.podPath);
  process(20, GROUPFS, 700, lab.podPath);
  await assert.rejects(finder.find(podWith("10.99.99.99")), (error: Error & { code: string }) => {
    assert.equal(error.code, "CNI_NETNS_NOT_FOUND");
    return error.message.includes(options.netnsDirectory) && error.message.includes("10.99.99.99");
  });
});
